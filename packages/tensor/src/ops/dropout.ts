/** Dropout whose mask depends on the seed, the step, the sample and the place in it, and on nothing else. */
import { commonBackend, runCall } from '../evaluate.ts';
import { apply, constant, input } from '../formula.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { defineOperation, type Operation } from './define.ts';
import { binaryShapes, elementwiseWith } from './elementwise-operation.ts';

/** What makes the random values of a use: tensors, so that a compiled plan can be given others at each run. */
export interface RandomKeys {
  /** [4], the values of `randomKey(seed, step)`. */
  readonly key: Tensor;
  /** [rows]: the number of each row's sample in the run, a whole number below 2^24. */
  readonly samples: Tensor;
  /** Keeps several uses in one step apart: a whole number below 2^32, 0 where left out. */
  readonly stream?: number;
}

function isWord(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

/** Seed and step as the four float32 values that `RandomKeys` takes; both are whole numbers below 2^32. */
export function randomKey(seed: number, step: number): Float32Array {
  for (const [what, value] of Object.entries({ seed, step })) {
    if (!isWord(value))
      throw new RangeError(`randomKey: the ${what} must be a whole number in [0, 2^32), got ${value}`);
  }
  return Float32Array.of(seed & 0xffff, seed >>> 16, step & 0xffff, step >>> 16);
}

export const randomUniformOperation = defineOperation<{ readonly columns: number; readonly stream: number }>({
  name: 'randomUniform',
  forward(operands, { columns, stream }) {
    const [samples, key] = operands as [Tensor, Tensor];
    if (samples.shape.length !== 1 || key.size !== 4) {
      throw new ShapeError(
        `randomUniform: expected samples [rows] and a key of 4 values, got ${formatShape(samples.shape)} and ${formatShape(key.shape)}`,
      );
    }
    const backend = commonBackend('randomUniform', operands);
    const output = emptyTensor(backend, [samples.size, columns]);
    const storages = { key: key.storage, samples: samples.storage, output: output.storage };
    runCall(backend, { kind: 'random', rows: samples.size, columns, stream, ...storages });
    return { output };
  },
  gradient: 'none',
  examples: [
    { shapes: [[3], [4]], attributes: { columns: 7, stream: 0 } },
    { shapes: [[2], [4]], attributes: { columns: 20, stream: 4294967295 } },
    { shapes: [[1], [4]], attributes: { columns: 1, stream: 1 } },
    { shapes: [[0], [4]], attributes: { columns: 3, stream: 1 } },
  ].map((example) => ({ ...example, domains: ['class index', 'class index'] })),
});

/** Uniform values in [0, 1), multiples of 2^-24, one row for each sample: `[rows] -> [rows, columns]`. */
export function randomUniform({ key, samples, stream = 0 }: RandomKeys, columns: number): Tensor {
  if (!isWord(stream)) {
    throw new RangeError(`randomUniform: the stream must be a whole number in [0, 2^32), got ${stream}`);
  }
  return randomUniformOperation.apply([samples, key], { columns, stream });
}

interface Rate {
  readonly rate: number;
}

/** `dropout(x, u)`: x over 1 - rate where u is not below the rate, else 0. */
export const dropoutOperation: Operation<Rate> = elementwiseWith<Rate>({
  name: 'dropout',
  formula: ({ rate }) => {
    const kept = apply('mul', input(0), constant(rate === 1 ? 0 : 1 / (1 - rate)));
    return apply('where', apply('greaterEqual', input(1), constant(rate)), kept, constant(0));
  },
  gradient: [
    (gradient, { operands, attributes }) => dropoutOperation.apply([gradient, operands[1]!], attributes),
    () => {
      throw new Error('dropout: the random values have no gradient');
    },
  ],
  shapes: binaryShapes,
  domains: ['any', 'class index'],
  attributes: [{ rate: 0.5 }, { rate: 0 }],
});

/**
 * Sets about `rate` of the values to 0 and divides the others by 1 - rate, so that their mean stays. The first axis
 * counts samples; whether value j of a sample stays depends on `(seed, step, sample, stream, j)` alone.
 */
export function dropout(operand: Tensor, rate: number, keys: RandomKeys): Tensor {
  const { shape } = operand;
  if (!(rate >= 0 && rate <= 1)) throw new RangeError(`dropout: the rate must be in [0, 1], got ${rate}`);
  if (shape.length === 0 || keys.samples.size !== shape[0]) {
    throw new ShapeError(
      `dropout: expected one sample for each element of the first axis of ${formatShape(shape)}, got ${formatShape(keys.samples.shape)}`,
    );
  }
  const random = randomUniform(keys, operand.size / Math.max(1, shape[0]));
  return dropoutOperation.apply([operand, reshape(random, shape)], { rate });
}

export const dropoutOperations = [randomUniformOperation, dropoutOperation] as const;
