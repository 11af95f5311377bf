/** The gradient of one microbatch, by TensorFlow's operations, eagerly. */
import { type Model, outputClasses, parameterLayout, type RandomKey } from '@lockstep/nn';
import { fromArray, type HostBackend, randomKey, randomUniform, type Storage, tidy } from '@lockstep/tensor';
import { applyLayer } from './layers.ts';
import type { Tensor, TensorFlow } from './tensorflow.ts';

export interface MicrobatchGradient {
  /** Copies all parameters, in model order. */
  setWeights(weights: Float32Array): void;
  /**
   * Leaves in `output` [P + 2], a storage of the host, the SUM over the samples of the loss's gradient, then the sum of
   * the losses, then how many were classified correctly. `pixels` [samples * inputSize] are read as byte / 255. A label
   * that is no class makes the loss NaN.
   */
  run(pixels: Uint8Array, labels: Uint8Array, key: RandomKey, output: Storage): void;
  /** Frees TensorFlow's memory. */
  dispose(): void;
}

const scaledBytes = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/** @param host computes the random values of dropout, which are the same on every backend */
export function createMicrobatchGradient(tf: TensorFlow, host: HostBackend, model: Model): MicrobatchGradient {
  const layout = parameterLayout(model);
  const classes = outputClasses(model);
  let weights: Tensor[] = [];

  const forward = (images: Tensor, parameters: readonly Tensor[], key: RandomKey): Tensor => {
    return model.layers.reduce((input, layer, index) => {
      const own = parameters.filter((_, position) => layout[position]!.layer === index);
      return applyLayer(tf, layer, input, own, (like, rate) => {
        return tf.tensor(dropoutScale(host, key, index, like, rate), like.shape);
      });
    }, images);
  };

  return {
    setWeights(values) {
      tf.dispose(weights);
      // TensorFlow may read an array in place for as long as its tensor lives, so each tensor gets a copy.
      weights = layout.map(({ offset, size, shape }) => tf.tensor(values.slice(offset, offset + size), [...shape]));
    },
    run(pixels, labels, key, outputStorage) {
      const samples = labels.length;
      const scaled = new Float32Array(pixels.length);
      for (let index = 0; index < pixels.length; index++) scaled[index] = scaledBytes[pixels[index]!]!;
      tf.tidy(() => {
        const images = tf.tensor(scaled, [samples, ...model.input]);
        const expected = tf.oneHot(tf.tensor1d(labels, 'int32'), classes);
        let correct = 0;
        const { value, grads } = tf.valueAndGrads((...parameters: Tensor[]) => {
          const logits = forward(images, parameters, key);
          correct = countCorrect(logits.dataSync(), labels, classes);
          return tf.neg(tf.sum(tf.mul(expected, tf.logSoftmax(logits))));
        })(weights);
        // Only now: computing what dropout drops may have moved the host's memory.
        const output = host.view(outputStorage);
        for (const [position, { offset }] of layout.entries()) output.set(grads[position]!.dataSync(), offset);
        output[output.length - 2] = labels.every((label) => label < classes) ? value.dataSync()[0]! : Number.NaN;
        output[output.length - 1] = correct;
      });
    },
    dispose() {
      tf.dispose(weights);
      weights = [];
    },
  };
}

/** Rows whose largest score, the first of equals, is at their label. */
function countCorrect(scores: ArrayLike<number>, labels: Uint8Array, classes: number): number {
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

/** Factors that drop the same values as `@lockstep/tensor` does. */
function dropoutScale(host: HostBackend, key: RandomKey, stream: number, like: Tensor, rate: number): Float32Array {
  const samples = like.shape[0]!;
  return tidy(() => {
    const numbers = Float32Array.from({ length: samples }, (_, index) => key.firstSample + index);
    const keys = {
      key: fromArray(host, randomKey(key.seed, key.step), [4]),
      samples: fromArray(host, numbers, [samples]),
      stream,
    };
    const uniform = host.view(randomUniform(keys, like.size / samples).storage);
    const limit = Math.fround(rate);
    const scale = 1 / (1 - rate);
    return uniform.map((value) => (value >= limit ? scale : 0));
  });
}
