/** The nets that the benchmarks train and the batches they train on, in the forms that several peers take. */
import { type Model, parameterLayout, resolveModel } from '@lockstep/nn';

/** Sizes of MNIST: pixels of an image, classes of digits. */
export const mnist = { pixels: 784, classes: 10 } as const;

export interface Net {
  /** The form that the peers have a program for: 784-hidden-10 with relu, or the built-in convolutional net. */
  readonly name: 'mlp' | 'cnn';
  readonly model: Model;
  /**
   * Shapes of the parameters, in order: weights [in, out], kernels [height, width, in, out], an image flattened as
   * [height, width, channels].
   */
  readonly shapes: readonly (readonly number[])[];
}

export function netOf(name: Net['name'], model: Model): Net {
  return { name, model, shapes: parameterLayout(model).map(({ shape }) => shape) };
}

export const mlpNet = netOf('mlp', resolveModel('mlp'));

/** Two 5 x 5 convolutions of 8 and 16 channels, each with ReLU and 2 x 2 max-pooling, then 10 dense units. */
export const cnnNet = netOf('cnn', resolveModel('cnn'));

/** A mini-batch in the format of the IDX files: pixels [samples, 784] of 0..255, labels [samples] of 0..9. */
export interface Batch {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** One size of the work; a candidate steps through `batches` in turn and wraps around. */
export interface MnistStep {
  readonly net: Net;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly batches: readonly Batch[];
  /** Initial parameters in one vector, in the net's layout. */
  readonly initial: Float32Array;
}

/** Views of one vector, one for each parameter. */
export function splitParameters(net: Net, vector: Float32Array): Float32Array[] {
  let offset = 0;
  return net.shapes.map((shape) => {
    const start = offset;
    offset += shape.reduce((size, length) => size * length, 1);
    return vector.subarray(start, offset);
  });
}

/** One vector from the parameters, in model order. */
export function joinParameters(parts: readonly ArrayLike<number>[]): Float32Array {
  const parameters = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    parameters.set(part, offset);
    offset += part.length;
  }
  return parameters;
}

/** Pixels as float32 in 0..1, [samples, 784]. */
export function scaledPixels(batch: Batch): Float32Array<ArrayBuffer> {
  const scaled = new Float32Array(batch.pixels.length);
  // `Float32Array.from` with a function takes ten times as long.
  for (let index = 0; index < scaled.length; index++) scaled[index] = batch.pixels[index]! / 255;
  return scaled;
}

/** One-hot labels, [samples, 10]. */
export function oneHotLabels(batch: Batch): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(batch.labels.length * mnist.classes);
  for (const [sample, label] of batch.labels.entries()) rows[sample * mnist.classes + label] = 1;
  return rows;
}
