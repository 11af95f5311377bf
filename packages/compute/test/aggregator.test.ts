import { encodeHalves, encodeSparse } from '@lockstep/protocol';
import { planRun, type Shard } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { Aggregator } from '../src/aggregator.ts';
import { valueAt } from '../src/vector-memory.ts';
import { addSum, type EncodedSum, hostBackend } from './support.ts';

const backend = await hostBackend();
const parameterCount = 400;
/** Two steps per epoch: one of four microbatches, and a short one of three. */
const plan = planRun({ samples: 14, batch: 8, microbatchSize: 2, epochs: 2 });
const root: Shard = { lo: 0, n: plan.microbatches };

/** Returns values whose sum has different bits in another order. */
const valuesOf = (microbatch: number): Float32Array =>
  Float32Array.from(
    { length: parameterCount },
    (_, index) => Math.sin(7 * microbatch + index) * 10 ** ((index % 7) - 3),
  );

const shardSum = (values: Float32Array, changes: Partial<EncodedSum> = {}): EncodedSum => ({
  bytes: new Uint8Array(values.slice().buffer),
  lossSum: 1.5,
  correct: 1,
  ...changes,
});

function withAggregator<Result>(use: (aggregator: Aggregator) => Result): Result {
  const aggregator = new Aggregator(backend, plan, parameterCount);
  aggregator.begin(0);
  const result = use(aggregator);
  aggregator.dispose();
  return result;
}

const gradientOf = (aggregator: Aggregator): Float32Array =>
  Float32Array.from({ length: parameterCount }, (_, index) => valueAt(backend, aggregator.gradient, index));

/** Returns the sum of four microbatches, added in this order. */
function sumInOrder(order: readonly number[]): Float32Array {
  return withAggregator((aggregator) => {
    for (const lo of order) expect(addSum(aggregator, { lo, n: 1 }, shardSum(valuesOf(lo)))).toBe(true);
    expect(aggregator.complete).toBe(true);
    return gradientOf(aggregator);
  });
}

describe('the sum of a step', () => {
  it('holds the losses and the correct answers of all shards', () => {
    withAggregator((aggregator) => {
      addSum(aggregator, { lo: 0, n: 2 }, shardSum(valuesOf(0), { lossSum: 2.5, correct: 3 }));
      addSum(aggregator, { lo: 2, n: 2 }, shardSum(valuesOf(1), { lossSum: 0.25, correct: 1 }));
      expect(aggregator.figures()).toEqual({ lossSum: 2.75, correct: 4 });
    });
  });

  it('takes a sum that lies in vectors of its backend as it is', () => {
    withAggregator((aggregator) => {
      const vectors = [0, 1].map((microbatch) => {
        const vector = backend.allocate(parameterCount + 2);
        backend.upload(vector, Float32Array.of(...valuesOf(microbatch), 0.5, 2));
        return vector;
      });
      const sum = { left: vectors[0]!, right: vectors[1]! };
      aggregator.add(root, sum);
      expect(aggregator.complete).toBe(true);
      expect(aggregator.gradient).toBe(sum);
      expect(aggregator.figures()).toEqual({ lossSum: 1, correct: 4 });
      aggregator.begin(1);
      aggregator.add({ lo: 0, n: 2 }, sum);
      addSum(aggregator, { lo: 2, n: 2 }, shardSum(valuesOf(2), { lossSum: 0.25 }));
      const [first, second, third] = [0, 1, 2].map(valuesOf) as [Float32Array, Float32Array, Float32Array];
      const expected = first.map((value, index) => Math.fround(value + second[index]!) + third[index]!);
      expect(gradientOf(aggregator)).toEqual(expected);
      expect(aggregator.figures().lossSum).toBe(1.25);
      for (const vector of vectors) backend.free(vector);
    });
  });

  it('begins again with each step', () => {
    withAggregator((aggregator) => {
      addSum(aggregator, { lo: 0, n: 2 }, shardSum(valuesOf(5)));
      aggregator.begin(2);
      expect(aggregator.complete).toBe(false);
      addSum(aggregator, root, shardSum(valuesOf(3)));
      expect(gradientOf(aggregator)).toEqual(valuesOf(3));
    });
  });
});

describe('a shard that is not finite', () => {
  const withValue = (value: number): Float32Array => valuesOf(1).fill(value, 4, 5);

  it.each([
    ['NaN in its gradient', shardSum(withValue(Number.NaN))],
    ['an infinity in its gradient', shardSum(withValue(Number.NEGATIVE_INFINITY))],
    ['NaN as its loss', shardSum(valuesOf(1), { lossSum: Number.NaN })],
    ['a loss beyond float32', shardSum(valuesOf(1), { lossSum: 1e300 })],
  ])('with %s is refused, and adds nothing', (_, notFinite) => {
    withAggregator((aggregator) => {
      addSum(aggregator, { lo: 0, n: 1 }, shardSum(valuesOf(0)));
      expect(addSum(aggregator, { lo: 1, n: 1 }, notFinite)).toBe(false);
      for (const lo of [3, 2, 1]) {
        expect(aggregator.complete).toBe(false);
        expect(addSum(aggregator, { lo, n: 1 }, shardSum(valuesOf(lo)))).toBe(true);
      }
      expect(aggregator.complete).toBe(true);
      expect(gradientOf(aggregator)).toEqual(sumInOrder([0, 1, 2, 3]));
      expect(aggregator.figures()).toEqual({ lossSum: 6, correct: 4 });
    });
  });
});

describe('an encoded gradient', () => {
  /** Mostly zeros, and values that fp16 holds exactly. */
  const values = new Float32Array(parameterCount);
  values.set([0.5, -2, 0.25, 1024, -0.125], parameterCount - 10);
  const encoded = {
    sparse: encodeSparse(values.slice())!,
    fp16: encodeHalves(values, 1)!,
  };

  it.each(['sparse', 'fp16'] as const)('in %s is added as its float32 values', (encoding) => {
    const bytes = encoded[encoding];
    expect(bytes.length).toBeLessThan(values.byteLength);
    withAggregator((aggregator) => {
      expect(addSum(aggregator, { lo: 0, n: 2 }, shardSum(values, { bytes, encoding }))).toBe(true);
      expect(addSum(aggregator, { lo: 2, n: 2 }, shardSum(values))).toBe(true);
      expect(gradientOf(aggregator)).toEqual(values.map((value) => 2 * value));
    });
  });
});
