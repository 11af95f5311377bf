/** Computes the gradient of one microbatch with TensorFlow operations, eagerly. */
import { type SampleValues, sizeOfField, type TargetField, type TargetValues } from '@lockstep/data';
import { type Model, outputCount, parameterLayout, type RandomKey } from '@lockstep/nn';
import { fromArray, type HostBackend, randomKey, randomUniform, type Storage, tidy } from '@lockstep/tensor';
import { applyLayer, losses } from './layers.ts';
import type { Tensor, TensorFlow } from './load.ts';

export interface MicrobatchGradient {
  /** Copies all parameters, in model order. */
  setWeights(weights: Float32Array): void;
  /**
   * Computes one microbatch. Writes to `output` [P + 2], a storage of the host, the SUM over the samples of the loss's
   * gradient, the sum of the losses, and the number classified correctly. Samples are [samples * inputSize]; bytes are
   * read as byte / 255. A label that is not a class makes the loss NaN.
   */
  run(samples: SampleValues, targets: TargetValues, key: RandomKey, output: Storage): void;
  /** Frees TensorFlow's memory. */
  dispose(): void;
}

const scaledBytes = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/** @param host computes the random values of dropout, which are the same on every backend */
export function createTensorFlowGradient(
  tf: TensorFlow,
  host: HostBackend,
  model: Model,
  targetField: TargetField,
): MicrobatchGradient {
  const layout = parameterLayout(model);
  const outputs = outputCount(model);
  const openLoss = losses[targetField.role];
  let weights: Tensor[] = [];

  const forward = createForward(tf, host, model);

  return {
    setWeights(values) {
      tf.dispose(weights);
      // TensorFlow may read an array in place for as long as its tensor lives, so each tensor gets a copy.
      weights = layout.map(({ offset, size, shape }) => tf.tensor(values.slice(offset, offset + size), [...shape]));
    },
    run(values, targets, key, outputStorage) {
      const samples = targets.length / sizeOfField(targetField);
      const floats = floatsOf(values);
      tf.tidy(() => {
        const input = tf.tensor(floats, [samples, ...model.input]);
        const loss = openLoss(tf, targets, [samples, outputs]);
        let correct = 0;
        const { value, grads } = tf.valueAndGrads((...parameters: Tensor[]) => {
          const result = forward(input, parameters, key);
          correct = loss.correct(result);
          return loss.sum(result);
        })(weights);
        // Taken only now: computing the dropout values may have moved the host's memory.
        const output = host.view(outputStorage);
        for (const [position, { offset }] of layout.entries()) output.set(grads[position]!.dataSync(), offset);
        output[output.length - 2] = loss.isValid ? value.dataSync()[0]! : Number.NaN;
        output[output.length - 1] = correct;
      });
    },
    dispose() {
      tf.dispose(weights);
      weights = [];
    },
  };
}

/** @returns a function that computes the outputs of a batch */
function createForward(tf: TensorFlow, host: HostBackend, model: Model) {
  const layout = parameterLayout(model);
  return (input: Tensor, parameters: readonly Tensor[], key: RandomKey): Tensor =>
    model.layers.reduce((x, layer, index) => {
      const own = parameters.filter((_, position) => layout[position]!.layer === index);
      return applyLayer(tf, layer, x, own, (like, rate) => {
        return tf.tensor(dropoutScale(host, key, index, like, rate), like.shape);
      });
    }, input);
}

/** Copies the values, since TensorFlow may read an array in place. */
function floatsOf(values: SampleValues): Float32Array {
  if (!(values instanceof Uint8Array)) return values.slice();
  const scaled = new Float32Array(values.length);
  for (let index = 0; index < values.length; index++) scaled[index] = scaledBytes[values[index]!]!;
  return scaled;
}

/** Returns factors that drop the same values as `@lockstep/tensor`. */
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
