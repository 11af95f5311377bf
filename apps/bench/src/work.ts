/** The work of the benchmarks in the forms that several peers take: a step on MNIST, a matrix product. Runs anywhere. */
import { type Model, parameterLayout, resolveModel } from '@lockstep/nn';
import type { Scalar, Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Absent, Implementation } from './harness.ts';

/** Sizes of MNIST: pixels of an image, classes of digits. */
export const mnist = { pixels: 784, classes: 10 } as const;

export interface Net {
  /** The form that the peers have a program for: 784-hidden-10 with relu, or the built-in convolutional net. */
  readonly name: 'mlp' | 'cnn';
  readonly model: Model;
  /** Shapes of the parameters: weights [in, out], kernels [height, width, in, out], an image [height, width, channels]. */
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
  readonly labels: Uint16Array;
}

/** One size of a training step; a candidate steps through `batches` in turn and wraps around. */
export interface MnistStep {
  readonly net: Net;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly batches: readonly Batch[];
  /** Initial parameters in one vector, in the net's layout. */
  readonly initial: Float32Array;
}

/** A product of two float32 matrices, row-major: `left` [m, k] x `right` [k, n]. */
export interface MatrixProduct {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** A library in one configuration, as one row of the tables. A module in `peers/` exports its library's by default. */
export interface Peer {
  readonly name: string;
  /** The program whose tables have this row; both by default. */
  readonly only?: 'bench' | 'compare';
  /** Nets whose tables have this row; all by default. */
  readonly nets?: readonly Net['name'][];
  openStep(work: MnistStep): Promise<Implementation | Absent>;
  openMatmul?(work: MatrixProduct): Promise<Implementation | Absent>;
  /** The row of Lockstep with as many threads or processes, and the name of this library's row of one thread. */
  readonly likeForLike?: { readonly kind: 'threads' | 'processes'; readonly count: number; readonly oneThread: string };
  /** Frees what the works of a comparison share. */
  close?(): Promise<void>;
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

export type TensorFlowJs = typeof import('@tensorflow/tfjs-core');
type TensorBatch = ReturnType<typeof tensorBatch>;

/** A batch as tensors of TensorFlow.js: images in the net's input shape, labels one-hot. */
export function tensorBatch(tf: TensorFlowJs, net: Net, batch: Batch) {
  const samples = batch.labels.length;
  return {
    images: tf.tensor(scaledPixels(batch), net.name === 'cnn' ? [samples, 28, 28, 1] : [samples, mnist.pixels]),
    labels: tf.tensor2d(oneHotLabels(batch), [samples, mnist.classes]),
  };
}

/** The parameters as tensors of TensorFlow.js, in model order. */
export function tensorsOfParameters(tf: TensorFlowJs, net: Net, parameters: Float32Array): Tensor[] {
  return splitParameters(net, parameters).map((part, index) => tf.tensor(part.slice(), [...net.shapes[index]!]));
}

/** The mean cross-entropy of a batch in TensorFlow.js. */
export function meanLossOf(tf: TensorFlowJs, net: Net, parameters: readonly Tensor[], batch: TensorBatch): Scalar {
  const logits = net.name === 'cnn' ? cnn(tf, parameters, batch.images) : perceptron(tf, parameters, batch.images);
  return tf.neg(tf.mean<Scalar>(tf.sum(tf.mul(batch.labels, tf.logSoftmax(logits)), 1)));
}

function perceptron(tf: TensorFlowJs, [weight1, bias1, weight2, bias2]: readonly Tensor[], images: Tensor): Tensor {
  const activation = tf.relu(tf.add(tf.matMul(images, weight1!), bias1!));
  return tf.add(tf.matMul(activation, weight2!), bias2!);
}

function cnn(tf: TensorFlowJs, parameters: readonly Tensor[], images: Tensor): Tensor {
  const [kernel1, bias1, kernel2, bias2, weight, bias] = parameters;
  const stage = (input: Tensor, kernel: Tensor, offset: Tensor): Tensor4D => {
    const sums = tf.add(tf.conv2d(input as Tensor4D, kernel as Tensor4D, 1, 'same'), offset);
    return tf.maxPool(tf.relu(sums) as Tensor4D, 2, 2, 'valid');
  };
  const features = stage(stage(images, kernel1!, bias1!), kernel2!, bias2!);
  return tf.add(tf.matMul(tf.reshape(features, [images.shape[0]!, -1]), weight!), bias!);
}
