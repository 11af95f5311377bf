/** The losses of `@lockstep/nn` by TensorFlow's operations. */
import type { TargetValues } from '@lockstep/nn';
import type { Tensor, TensorFlow } from './tensorflow.ts';

/** Of the samples of one microbatch. */
interface MicrobatchLoss {
  /** False where a label is no class. */
  readonly isValid: boolean;
  /** Sum over the samples. @param outputs [samples, outputs] */
  sum(outputs: Tensor): Tensor;
  /** Samples whose class is right; 0 where there are no classes. */
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

/** Rows whose largest score, the first of equals, is at their label. */
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
