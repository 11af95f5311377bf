/**
 * Computes each kind of layer and loss with TensorFlow operations: the formulas of `@lockstep/nn`, rounded by another
 * library.
 */
import type { TargetValues } from '@lockstep/data';
import type { Layer } from '@lockstep/nn';
import type { Tensor, TensorFlow } from './load.ts';

type LayerOf<Type extends Layer['type']> = Extract<Layer, { readonly type: Type }>;

/** Returns factors for the values of `input`: 0 for a dropped value, `1 / (1 - rate)` for the others. */
type DropoutScale = (input: Tensor, rate: number) => Tensor;

type Forward<Type extends Layer['type']> = (
  tf: TensorFlow,
  layer: LayerOf<Type>,
  input: Tensor,
  parameters: readonly Tensor[],
  dropoutScale: DropoutScale,
) => Tensor;

/**
 * One function for each layer of `@lockstep/nn`, which the type requires: `[n, ...input] -> [n, ...output]`. Images are
 * [n, height, width, channels], parameters in the shapes of that package.
 */
const layers: { readonly [Type in Layer['type']]: Forward<Type> } = {
  dense: (tf, _, input, [weight, bias]) => tf.add(tf.matMul(input, weight!), bias!),
  conv2d(tf, { kernel, stride = 1, padding = 0 }, input, [weight, bias]) {
    const keepsSize = stride === 1 && 2 * padding === kernel - 1;
    const images = keepsSize ? input : padded(tf, input, padding, 0);
    return tf.add(tf.conv2d(images, weight!, stride, keepsSize ? 'same' : 'valid'), bias!);
  },
  maxPool2d(tf, { window, stride = window, padding = 0 }, input) {
    return tf.maxPool(padded(tf, input, padding, Number.NEGATIVE_INFINITY), window, stride, 'valid');
  },
  averagePool2d(tf, { window, stride = window, padding = 0 }, input) {
    return tf.avgPool(padded(tf, input, padding, 0), window, stride, 'valid');
  },
  flatten: (tf, _, input) => tf.reshape(input, [input.shape[0]!, -1]),
  dropout: (tf, { rate }, input, _, dropoutScale) => (rate === 0 ? input : tf.mul(input, dropoutScale(input, rate))),
  relu: (tf, _, input) => tf.relu(input),
  leakyRelu: (tf, { slope = 0.01 }, input) => tf.leakyRelu(input, slope),
  gelu: (tf, _, input) => tf.mul(input, tf.mul(tf.add(tf.erf(tf.mul(input, Math.SQRT1_2)), 1), 0.5)),
  sigmoid: (tf, _, input) => tf.sigmoid(input),
  tanh: (tf, _, input) => tf.tanh(input),
  softplus: (tf, _, input) => tf.softplus(input),
  softsign: (tf, _, input) => tf.div(input, tf.add(tf.abs(input), 1)),
};

export const applyLayer: Forward<Layer['type']> = (tf, layer, ...rest) =>
  (layers[layer.type] as Forward<Layer['type']>)(tf, layer, ...rest);

/** Pads images explicitly: the gradients of TensorFlow.js support no padding of a given size. */
function padded(tf: TensorFlow, images: Tensor, padding: number, value: number): Tensor {
  if (padding === 0) return images;
  const around: [number, number] = [padding, padding];
  return tf.pad(images, [[0, 0], around, around, [0, 0]], value);
}

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

function crossEntropy(tf: TensorFlow, labels: TargetValues, [, classes]: Shape): MicrobatchLoss {
  const expected = tf.oneHot(tf.tensor1d(Int32Array.from(labels), 'int32'), classes);
  return {
    isValid: labels.every((label) => label < classes),
    sum: (logits) => tf.neg(tf.sum(tf.mul(expected, tf.logSoftmax(logits)))),
    correct: (logits) => countCorrect(logits.dataSync(), labels, classes),
  };
}

function meanSquaredError(tf: TensorFlow, targets: TargetValues, shape: Shape): MicrobatchLoss {
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

/** The loss for each role of targets. */
export const losses = { index: crossEntropy, value: meanSquaredError };

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
