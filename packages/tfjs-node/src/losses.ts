/** Computes the losses of `@lockstep/nn` with TensorFlow operations. */
import type { TargetValues } from '@lockstep/nn';
import type { Tensor, TensorFlow } from './tensorflow.ts';

/** Loss over the samples of one microbatch. */
interface MicrobatchLoss {
  /** False if a label is not a class. */
  readonly isValid: boolean;
  /** Returns the sum over the samples. @param outputs [samples, outputs] */
  sum(outputs: Tensor): Tensor;
  /** Returns the number of samples classified correctly; 0 if there are no classes. */
  correct(outputs: Tensor): number;
}

type Shape = readonly [samples: number, outputs: number];

export function crossEntropy(tf: TensorFlow, labels: TargetValues, [, classes]: Shape): MicrobatchLoss {
  const expected = tf.oneHot(tf.tensor1d(Int32Array.from(labels), 'int32'), classes);
  return {
    isValid: labels.every((label) => label < classes),
    sum: (logits) => tf.neg(tf.sum(tf.mul(expected, tf.logSoftmax(logits)))),
    correct: (logits) => countCorrect(logits.dataSync(), labels, classes),
  };
}

export function meanSquaredError(tf: TensorFlow, targets: TargetValues, shape: Shape): MicrobatchLoss {
  const expected = tf.neg(tf.tensor(Float32Array.from(targets), [...shape]));
  return {
    isValid: true,
    sum(outputs) {
      const difference = tf.add(outputs, expected);
      return tf.div(tf.sum(tf.mul(difference, difference)), shape[1]);
    },
    correct: () => 0,
  };
}

/** Counts the rows whose largest score, or the first of equal ones, is at their label. */
function countCorrect(scores: ArrayLike<number>, labels: TargetValues, classes: number): number {
  let correct = 0;
  for (let row = 0; row < labels.length; row++) {
    let best = 0;
    for (let index = 1; index < classes; index++) {
      if (scores[row * classes + index]! > scores[row * classes + best]!) best = index;
    }
    if (best === labels[row]) correct += 1;
  }
  return correct;
}
