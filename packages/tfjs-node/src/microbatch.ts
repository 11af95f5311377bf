/** Computes the gradient of one microbatch with TensorFlow: the ops of the engine's forward pass and loss, repeated. */
import type { SampleValues, TargetField, TargetValues } from '@lockstep/data';
import {
  checkOps,
  embeddingOf,
  type Model,
  type OpTable,
  parameterLayout,
  type RandomKey,
  recordLoss,
  replay,
  sampleSize,
  type Tape,
} from '@lockstep/nn';
import {
  fromArray,
  type HostBackend,
  type Pair,
  type Range,
  randomKey,
  randomUniform,
  type Storage,
  tidy,
  type WindowOptions,
} from '@lockstep/tensor';
import { binaryOps, type NativeTensor, type TensorFlow, unaryOps } from './load.ts';

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

/**
 * @param host computes the random values of dropout, which are the same on every backend
 * @throws Error with one sentence if the model has an op that TensorFlow does not compute here
 */
export function createTensorFlowGradient(
  tf: TensorFlow,
  host: HostBackend,
  model: Model,
  targetField: TargetField,
): MicrobatchGradient {
  const layout = parameterLayout(model);
  let weights: NativeTensor[] = [];
  let key: RandomKey;
  const table = opTable(tf, (like, rate, stream) => {
    return tf.tensor(dropoutScale(host, key, stream, like, rate), like.shape);
  });
  /** Tapes by number of samples. */
  const tapes = new Map<number, Tape>();
  const tapeOf = (samples: number): Tape => {
    const tape = tapes.get(samples) ?? recordLoss(model, samples, targetField);
    tapes.set(samples, tape);
    return tape;
  };
  checkOps(tapeOf(1), table, 'tfjs-node');

  return {
    setWeights(values) {
      tf.dispose(weights);
      // TensorFlow may read an array in place for as long as its tensor lives, so each tensor gets a copy.
      weights = layout.map(({ offset, size, shape }) => tf.tensor(values.slice(offset, offset + size), [...shape]));
    },
    run(values, targetValues, ownKey, outputStorage) {
      const tape = tapeOf(values.length / sampleSize(model, targetField));
      key = ownKey;
      const lists = inputsOf(model, targetField, values, targetValues);
      tf.tidy(() => {
        const [x, targets] = lists.map((list, index) => tf.tensor(list, [...tape.inputs[index]!.shape]));
        let correct = 0;
        const { value, grads } = tf.valueAndGrads((...parameters: NativeTensor[]) => {
          const [loss, count] = replay(tape, table, [x, targets, undefined, undefined, ...parameters]);
          correct = count?.dataSync()[0] ?? 0;
          return loss!;
        })(weights);
        // Taken only now: computing the dropout values may have moved the host's memory.
        const output = host.view(outputStorage);
        for (const [position, { offset }] of layout.entries()) output.set(grads[position]!.dataSync(), offset);
        output[output.length - 2] = value.dataSync()[0]!;
        output[output.length - 1] = correct;
      });
    },
    dispose() {
      tf.dispose(weights);
      weights = [];
    },
  };
}

/** Returns factors for the values of `input`: 0 for a dropped value, `1 / (1 - rate)` for the others. */
type DropoutScale = (input: NativeTensor, rate: number, stream: number) => NativeTensor;

/** The ops of `@lockstep/tensor` in TensorFlow, rounded by another library. */
function opTable(tf: TensorFlow, scale: DropoutScale): OpTable<NativeTensor> {
  const float = (input: NativeTensor): NativeTensor => tf.cast(input, 'float32');
  const transposed = (input: NativeTensor): NativeTensor => {
    const axes = [...input.shape.keys()];
    return tf.transpose(input, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
  };
  const same = [...unaryOps, ...binaryOps].map((name) => [
    name,
    (...args: [NativeTensor, NativeTensor]) => tf[name](...args),
  ]);
  return {
    ...(Object.fromEntries(same) as Pick<OpTable<NativeTensor>, (typeof unaryOps | typeof binaryOps)[number]>),
    constant: (values, shape) => tf.tensor(values, [...shape]),
    equal: (left, right) => float(tf.equal(left, right)),
    notEqual: (left, right) => float(tf.notEqual(left, right)),
    where(condition, whenTrue, whenFalse) {
      const isTrue = typeof condition === 'number' ? condition !== 0 : tf.cast(condition, 'bool');
      return tf.where(isTrue, whenTrue, whenFalse);
    },
    softmax(x, { axis = -1, temperature = 1, causal = false } = {}) {
      const last = x.shape.length - 1;
      if (axis !== -1 && axis !== last) throw new Error(`tfjs-node: expected a softmax of the last axis, got ${axis}`);
      const scaled = temperature === 1 ? x : tf.div(x, temperature);
      return tf.softmax(causal ? tf.add(scaled, causalMask(tf, x.shape.slice(-2) as [number, number])) : scaled);
    },
    layerNorm(x, { epsilon = 1e-5 } = {}) {
      const mean = (values: NativeTensor): NativeTensor => tf.div(tf.sum(values, [-1], true), x.shape.at(-1)!);
      const centered = tf.sub(x, mean(x));
      return tf.div(centered, tf.sqrt(tf.add(mean(tf.mul(centered, centered)), epsilon)));
    },
    leakyRelu: (x, slope = 0.01) => tf.leakyRelu(x, slope),
    gelu: (x, { approximate = 'none' } = {}) => {
      const cubic = (): NativeTensor =>
        tf.mul(tf.add(tf.mul(tf.mul(x, x), 0.044715), 1), tf.mul(x, Math.sqrt(2 / Math.PI)));
      const inner = approximate === 'none' ? tf.erf(tf.mul(x, Math.SQRT1_2)) : tf.tanh(cubic());
      return tf.mul(x, tf.mul(tf.add(inner, 1), 0.5));
    },
    softsign: (x) => tf.div(x, tf.add(tf.abs(x), 1)),
    dropout: (x, rate, { stream = 0 }) => (rate === 0 ? x : tf.mul(x, scale(x, rate, stream))),
    matmul: (left, right, { transposeLeft, transposeRight } = {}) => {
      const [a, b] = [transposeLeft ? transposed(left) : left, transposeRight ? transposed(right) : right];
      if (b.shape.length !== 2 || a.shape.length === 2) return tf.matMul(a, b);
      // TensorFlow does not repeat one matrix for a batch of others in its gradient.
      const rows = tf.reshape(a, [-1, b.shape[0]!]);
      return tf.reshape(tf.matMul(rows, b), [...a.shape.slice(0, -1), b.shape[1]!]);
    },
    conv2d(images, kernel, { stride = 1, padding = 0 } = {}) {
      const [size, strides, pads] = [kernel.shape, pairOf(stride), pairOf(padding)];
      const keepsSize = [0, 1].every((axis) => strides[axis] === 1 && 2 * pads[axis]! === size[axis]! - 1);
      const padded = keepsSize ? images : paddedBy(tf, images, padding, 0);
      return tf.conv2d(padded, kernel, strides, keepsSize ? 'same' : 'valid');
    },
    maxPool2d(images, window, { stride = window, padding = 0 }: WindowOptions = {}) {
      const padded = paddedBy(tf, images, padding, Number.NEGATIVE_INFINITY);
      return tf.maxPool(padded, pairOf(window), pairOf(stride), 'valid');
    },
    averagePool2d(images, window, { stride = window, padding = 0 }: WindowOptions = {}) {
      return tf.avgPool(paddedBy(tf, images, padding, 0), pairOf(window), pairOf(stride), 'valid');
    },
    reshape: (x, shape) => tf.reshape(x, [...shape]),
    slice(x, ranges) {
      const parts = x.shape.map((length, axis) => rangeOf(ranges[axis], length));
      return tf.slice(
        x,
        parts.map(([begin]) => begin),
        parts.map(([begin, end]) => end - begin),
      );
    },
    place(x, shape, ranges, value = 0) {
      const around = shape.map((length, axis): [number, number] => {
        const [begin, end] = rangeOf(ranges[axis], length);
        return [begin, length - end];
      });
      return tf.pad(x, around, value);
    },
    concat: (tensors, axis = 0) => tf.concat([...tensors], axis),
    permute: (x, order) => tf.transpose(x, [...order]),
    sum: (x, { axes, keepAxes } = {}) => tf.sum(x, axes && [...axes], keepAxes),
    max: (x, { axes, keepAxes } = {}) => tf.max(x, axes && [...axes], keepAxes),
    min: (x, { axes, keepAxes } = {}) => tf.min(x, axes && [...axes], keepAxes),
    argmax: (x, axis) => float(axis === undefined ? tf.argMax(tf.reshape(x, [-1]), 0) : tf.argMax(x, axis)),
    indexSelect: (x, indices, axis) => tf.gather(x, tf.cast(indices, 'int32'), axis),
    softmaxCrossEntropy(logits, labels) {
      const expected = tf.oneHot(tf.cast(labels, 'int32'), logits.shape[1]!);
      // Dividing by 1 changes nothing; for a label that is no class, 0 / 0 is NaN.
      const loss = tf.neg(tf.sum(tf.mul(expected, tf.logSoftmax(logits)), [1]));
      return tf.div(loss, tf.sum(float(expected), [1]));
    },
  };
}

function pairOf(pair: Pair): [number, number] {
  return typeof pair === 'number' ? [pair, pair] : [...pair];
}

/** Hides scores [queries, keys] from softmax by addition: the last query sees all keys, the one before one fewer, and so on. */
function causalMask(tf: TensorFlow, [queries, keys]: readonly [number, number]): NativeTensor {
  const isHidden = (at: number): boolean => (at % keys) - Math.floor(at / keys) > keys - queries;
  const mask = Float32Array.from({ length: queries * keys }, (_, at) => (isHidden(at) ? -1e9 : 0));
  return tf.tensor(mask, [queries, keys]);
}

/** Returns the first position of a range and the one after its last. */
function rangeOf({ start = 0, end, step = 1 }: Range = {}, length: number): [number, number] {
  if (step !== 1) throw new Error(`tfjs-node: expected a range of neighboring positions, got a step of ${step}`);
  const inside = (at: number): number => Math.min(Math.max(at < 0 ? at + length : at, 0), length);
  const first = inside(start);
  return [first, Math.max(first, inside(end ?? length))];
}

/** Pads images explicitly: the gradients of TensorFlow.js support no padding of a given size. */
function paddedBy(tf: TensorFlow, images: NativeTensor, padding: Pair, value: number): NativeTensor {
  const [rows, columns] = pairOf(padding);
  if (rows === 0 && columns === 0) return images;
  return tf.pad(
    images,
    [
      [0, 0],
      [rows, rows],
      [columns, columns],
      [0, 0],
    ],
    value,
  );
}

/** Copies samples and targets, since TensorFlow may read an array in place; texts become tokens and their next ones. */
function inputsOf(
  model: Model,
  { role }: TargetField,
  samples: SampleValues,
  targets: TargetValues,
): readonly [samples: Float32Array, targets: Float32Array] {
  if (role === 'next') {
    const [positions] = model.input as [number];
    const isAt = (from: number) => (_: number, index: number) => {
      const at = (index % (positions + 1)) - from;
      return at >= 0 && at < positions;
    };
    return [Float32Array.from(samples.filter(isAt(0))), Float32Array.from(samples.filter(isAt(1)))];
  }
  const isScaled = samples instanceof Uint8Array && !embeddingOf(model);
  return [Float32Array.from(samples, (value) => (isScaled ? scaledBytes[value]! : value)), Float32Array.from(targets)];
}

/** Returns factors that drop the same values as `@lockstep/tensor`. */
function dropoutScale(
  host: HostBackend,
  key: RandomKey,
  stream: number,
  like: NativeTensor,
  rate: number,
): Float32Array {
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
