/** The work of the benchmarks in the forms that several peers take: a training step, a matrix product. Runs anywhere. */
import { classField, type TargetField } from '@lockstep/data';
import { type Model, parameterLayout, resolveModel } from '@lockstep/nn';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Absent, Implementation } from './harness.ts';

/** Sizes of MNIST: pixels of an image, classes of digits. */
export const mnist = { pixels: 784, classes: 10 } as const;

export interface Net {
  /** The form that the peers have a program for: 784-hidden-10 with relu, or a built-in net. */
  readonly name: 'mlp' | 'cnn' | 'gpt';
  readonly model: Model;
  /**
   * Shapes of the parameters: weights [in, out], kernels [height, width, in, out], an image [height, width, channels],
   * embeddings [tokens, width].
   */
  readonly shapes: readonly (readonly number[])[];
}

export function netOf(name: Net['name'], model: Model): Net {
  return { name, model, shapes: parameterLayout(model).map(({ shape }) => shape) };
}

export const mlpNet = netOf('mlp', resolveModel('mlp'));

/** Two 5 x 5 convolutions of 8 and 16 channels, each with ReLU and 2 x 2 max-pooling, then 10 dense units. */
export const cnnNet = netOf('cnn', resolveModel('cnn'));

/**
 * A mini-batch as bytes: pixels [samples, 784] of 0..255 with labels [samples] of 0..9, as in the IDX files; or, without
 * labels, windows of tokens [samples, positions + 1], each but the last predicting the next.
 */
export interface Batch {
  readonly samples: Uint8Array;
  readonly labels: Uint16Array;
}

/** One size of a training step; a candidate steps through `batches` in turn and wraps around. */
export interface TrainingStep {
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
  openStep(work: TrainingStep): Promise<Implementation | Absent>;
  openMatmul?(work: MatrixProduct): Promise<Implementation | Absent>;
  /** The row of Lockstep with as many threads or processes, and the name of this library's row of one thread. */
  readonly likeForLike?: { readonly kind: 'threads' | 'processes'; readonly count: number; readonly oneThread: string };
  /** Frees what the works of a comparison share. */
  close?(): Promise<void>;
}

/**
 * Milliseconds of `steps` calls of `step` in this thread, one after another, until `settle` resolves: some libraries
 * return before they have computed.
 */
export async function timeSteps(steps: number, step: () => unknown, settle?: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  for (let index = 0; index < steps; index++) {
    const done = step();
    if (done instanceof Promise) await done;
  }
  await settle?.();
  return performance.now() - startedMs;
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
export function scaledPixels({ samples }: Batch): Float32Array<ArrayBuffer> {
  const scaled = new Float32Array(samples.length);
  // `Float32Array.from` with a function takes ten times as long.
  for (let index = 0; index < scaled.length; index++) scaled[index] = samples[index]! / 255;
  return scaled;
}

/** One-hot labels, [labels, classes]. */
export function oneHotLabels(labels: Batch['labels'], classes: number): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) rows[row * classes + label] = 1;
  return rows;
}

export type GptSizes = ReturnType<typeof gptSizes>;

/** Sizes of a `gpt`, whose embeddings are its first two parameters. */
export function gptSizes({ model, shapes }: Net) {
  const [[tokens = 0, width = 0] = [], [positions = 0] = []] = shapes;
  return { tokens, width, positions, heads: Number(/"heads":(\d+)/.exec(JSON.stringify(model))?.[1] ?? 0) };
}

/** The targets that the net learns. */
export function targetFieldOf(net: Net): TargetField {
  if (net.name !== 'gpt') return classField;
  return { dtype: 'u8', shape: [0], role: 'next', positions: gptSizes(net).positions };
}

/** The parameters of a `gpt` by their use; `blocks` have those of each layer in model order. */
export function gptParts<Value>([wte, wpe, ...rest]: readonly Value[]) {
  const blocks = Array.from({ length: (rest.length - 2) / parametersPerBlock }, (_, block) =>
    rest.slice(block * parametersPerBlock, (block + 1) * parametersPerBlock),
  );
  return { wte: wte!, wpe: wpe!, blocks, normalization: rest.slice(-2) };
}

/** Weight and bias of two normalizations, of attention's two products, and of two dense layers. */
const parametersPerBlock = 12;

/** Inputs and targets, [samples * positions] each: the tokens of windows, and the token after each. */
export function nextTokens({ positions }: GptSizes, { samples }: Batch) {
  const count = samples.length / (positions + 1);
  const inputs = new Int32Array(count * positions);
  const targets = new Uint16Array(count * positions);
  for (let sample = 0; sample < count; sample++) {
    const window = samples.subarray(sample * (positions + 1), (sample + 1) * (positions + 1));
    inputs.set(window.subarray(0, positions), sample * positions);
    targets.set(window.subarray(1), sample * positions);
  }
  return { inputs, targets };
}

export type TensorFlowJs = typeof import('@tensorflow/tfjs-core');
type TensorBatch = ReturnType<typeof tensorBatch>;

/** A batch as tensors of TensorFlow.js: images in the net's input shape, or tokens [samples * positions]; labels one-hot. */
export function tensorBatch(tf: TensorFlowJs, net: Net, batch: Batch): { inputs: Tensor; labels: Tensor2D } {
  if (net.name === 'gpt') {
    const sizes = gptSizes(net);
    const { inputs, targets } = nextTokens(sizes, batch);
    const shape = [targets.length, sizes.tokens] as [number, number];
    return { inputs: tf.tensor1d(inputs, 'int32'), labels: tf.tensor2d(oneHotLabels(targets, sizes.tokens), shape) };
  }
  const samples = batch.labels.length;
  return {
    inputs: tf.tensor(scaledPixels(batch), net.name === 'cnn' ? [samples, 28, 28, 1] : [samples, mnist.pixels]),
    labels: tf.tensor2d(oneHotLabels(batch.labels, mnist.classes), [samples, mnist.classes]),
  };
}

/** The parameters as tensors of TensorFlow.js, in model order. */
export function tensorsOfParameters(tf: TensorFlowJs, net: Net, parameters: Float32Array): Tensor[] {
  return splitParameters(net, parameters).map((part, index) => tf.tensor(part.slice(), [...net.shapes[index]!]));
}

/** The mean cross-entropy of a batch in TensorFlow.js. */
export function meanLossOf(tf: TensorFlowJs, net: Net, parameters: readonly Tensor[], batch: TensorBatch): Scalar {
  const logits = logitsOf[net.name](tf, parameters, batch.inputs, net);
  return tf.neg(tf.mean<Scalar>(tf.sum(tf.mul(batch.labels, tf.logSoftmax(logits)), 1)));
}

/** Class scores, a row for each prediction. */
const logitsOf: Readonly<Record<Net['name'], Logits>> = { mlp: perceptron, cnn, gpt };

type Logits = (tf: TensorFlowJs, parameters: readonly Tensor[], inputs: Tensor, net: Net) => Tensor;

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

/** nanoGPT: rows of all positions [samples * positions, width], but inside attention. */
function gpt(tf: TensorFlowJs, parameters: readonly Tensor[], tokens: Tensor, net: Net): Tensor {
  const { width, positions, heads, tokens: vocabulary } = gptSizes(net);
  const { wte, wpe, blocks, normalization } = gptParts(parameters);
  const dense = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => tf.add(tf.matMul(x, weight), bias);
  const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), weight), bias);
  };
  const gelu = (x: Tensor): Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const later = tf.sub(1, tf.linalg.bandPart(tf.ones([positions, positions]), -1, 0));
  const mask = tf.mul(later, -1e9);
  const attention = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => {
    const [query, key, value] = tf
      .split(dense(x, weight, bias), 3, 1)
      .map((part) => tf.transpose(tf.reshape(part, [-1, positions, heads, width / heads]), [0, 2, 1, 3]));
    const scores = tf.mul(tf.matMul(query!, key!, false, true), 1 / Math.sqrt(width / heads));
    const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), value!);
    return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, width]);
  };
  // The gradient of gather needs a kernel that some backends lack.
  const canGather = tf.getKernel('UnsortedSegmentSum', tf.getBackend()) != null;
  const embedded = canGather ? tf.gather(wte, tokens as Tensor1D) : tf.matMul(tf.oneHot(tokens, vocabulary), wte);
  let x: Tensor = tf.reshape(tf.add(tf.reshape(embedded, [-1, positions, width]), wpe), [-1, width]);
  for (const [w1, b1, wQkv, bQkv, wMix, bMix, w2, b2, wIn, bIn, wOut, bOut] of blocks) {
    x = tf.add(x, dense(attention(layerNorm(x, w1!, b1!), wQkv!, bQkv!), wMix!, bMix!));
    x = tf.add(x, dense(gelu(dense(layerNorm(x, w2!, b2!), wIn!, bIn!)), wOut!, bOut!));
  }
  const [weight, bias] = normalization;
  return tf.matMul(layerNorm(x, weight!, bias!), wte as Tensor2D, false, true);
}
