/** Dropout whose mask depends only on seed, step, sample, stream and position. */
import { checkArgument, checkFields, checkWord, type Kind, number, wholeNumber } from '../arguments.ts';
import { commonBackend, computed, defineOp, mapOperands, type OpResult } from '../autograd.ts';
import { apply, type Formula } from '../formula.ts';
import { formatShape, unexpectedShapes } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';

/** Keys of random values. They are tensors, so that each run of a compiled plan can use new keys. */
export interface RandomKeys {
  /** Values of `randomKey(seed, step)`, [4]. */
  readonly key: Tensor;
  /** Number of each row's sample in the run, [rows], whole numbers below 2^24. */
  readonly samples: Tensor;
  /** Makes several uses within one step independent: a whole number below 2^32, 0 by default. */
  readonly stream?: number;
}

/** Accepts any value: `checkTensor` checks it afterwards. */
const anything: Kind = { expected: 'given', accepts: () => true };

function checkKeys(operation: string, keys: RandomKeys): void {
  checkFields(operation, 'the keys', keys, { key: anything, samples: anything, stream: number });
  checkTensor(operation, 'key', keys.key);
  checkTensor(operation, 'samples', keys.samples);
}

/** Encodes seed and step, whole numbers below 2^32, as the four float32 values of `RandomKeys.key`. */
export function randomKey(seed: number, step: number): Float32Array {
  checkWord('randomKey', 'seed', seed);
  checkWord('randomKey', 'step', step);
  return Float32Array.of(seed & 0xffff, seed >>> 16, step & 0xffff, step >>> 16);
}

/** Uniform values in [0, 1), multiples of 2^-24, with one row per sample: `[rows] -> [rows, columns]`. */
export const randomUniform = defineOp('randomUniform', (keys: RandomKeys, columns: number): OpResult => {
  checkKeys('randomUniform', keys);
  checkArgument('randomUniform', 'columns', columns, wholeNumber(0));
  const { key, samples, stream = 0 } = keys;
  checkWord('randomUniform', 'stream', stream);
  if (samples.shape.length !== 1 || key.size !== 4) {
    throw unexpectedShapes('randomUniform: expected samples [rows] and a key of 4 values', samples.shape, key.shape);
  }
  const call = { kind: 'random', rows: samples.size, columns, stream } as const;
  const operands = [samples, key];
  const output = computed(commonBackend('randomUniform', operands), [samples.size, columns], (output) => {
    return { ...call, key: key.storage, samples: samples.storage, output };
  });
  return { output, operands };
});

/**
 * Sets each value to 0 with probability `rate`; divides the others by 1 - rate, to keep the mean.
 * The first axis counts samples; whether value j of a sample is kept depends only on `(seed, step, sample, stream, j)`.
 */
export const dropout = defineOp('dropout', (x: Tensor, rate: number, keys: RandomKeys): OpResult => {
  checkTensor('dropout', 'x', x);
  checkArgument('dropout', 'the rate', rate, number);
  checkKeys('dropout', keys);
  const { shape } = x;
  if (!(rate >= 0 && rate <= 1)) throw new RangeError(`dropout: the rate must be in [0, 1], got ${rate}`);
  if (shape.length === 0 || keys.samples.size !== shape[0]) {
    const expected = `one sample for each element of the first axis of ${formatShape(shape)}`;
    throw unexpectedShapes(`dropout: expected ${expected}`, keys.samples.shape);
  }
  const random = reshape(randomUniform(keys, x.size / Math.max(1, shape[0])), shape);
  return { output: masked(x, random, rate), operands: [x], gradient: [(g) => masked(g, random, rate)] };
});

/** Returns `x / (1 - rate)` for each random value of at least the rate, else 0. */
function masked(x: Tensor, random: Tensor, rate: number): Tensor {
  const scale = rate === 1 ? 0 : 1 / (1 - rate);
  const formula = (value: Formula, drawn: Formula): Formula =>
    apply('where', apply('greaterEqual', drawn, rate), apply('mul', value, scale), 0);
  return mapOperands('dropout', formula, [x, random]);
}
