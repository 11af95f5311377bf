/** Sums per microbatch have the bits of each microbatch summed separately and added by a fixed binary tree. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { additionsAfter } from '../src/backends/calls.ts';
import type { HostBackend, Tensor } from '../src/index.ts';
import {
  abs,
  add,
  compile,
  conv2d,
  fromArray,
  matmul,
  mul,
  openBackend,
  relu,
  reshape,
  softmaxCrossEntropy,
  sum,
  tidy,
  valueAndGrad,
} from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { bitsOf, openAll, randomValues, valuesIn } from './support.ts';

const { backend: cpu } = await openBackend('cpu');
const { backend: reference } = await openBackend('reference');
const backends = await openAll();

/** The oracle: adds neighbors in pairs, then their sums in pairs; a term without a neighbor passes unchanged. */
function foldInPairs<Term>(terms: readonly Term[], sum: (left: Term, right: Term) => Term): Term {
  if (terms.length === 1) return terms[0]!;
  const pairs = Array.from({ length: Math.ceil(terms.length / 2) }, (_, pair) => {
    const [left, right] = terms.slice(2 * pair, 2 * pair + 2) as [Term, Term?];
    return right === undefined ? left : sum(left, right);
  });
  return foldInPairs(pairs, sum);
}

function addedInPairs(vectors: readonly Float32Array[]): Float32Array {
  return foldInPairs(vectors, (left, right) => left.map((value, index) => value + right[index]!));
}

it('adds the terms of a stack as the tree of pairs does, for any number of terms', () => {
  const sum = (left: string, right: string): string => `(${left} + ${right})`;
  for (let count = 1; count <= 130; count++) {
    const terms = Array.from({ length: count }, (_, index) => String(index));
    const stack: string[] = [];
    terms.forEach((term, index) => {
      stack.push(term);
      for (let additions = additionsAfter(index, count); additions > 0; additions--) {
        const [left, right] = stack.splice(-2) as [string, string];
        stack.push(sum(left, right));
      }
    });
    expect(stack).toEqual([foldInPairs(terms, sum)]);
  }
});

interface Product {
  readonly m: number;
  readonly n: number;
  readonly microbatches: number;
  /** Length of a microbatch along k. */
  readonly run: number;
}

function product(
  backend: HostBackend,
  { m, n, microbatches, run }: Product,
  left: Float32Array,
  right: Float32Array,
): Float32Array {
  const k = microbatches * run;
  return tidy(() => {
    const [a, b] = [fromArray(backend, left, [k, m]), fromArray(backend, right, [k, n])];
    return backend.view(matmul(a, b, { transposeLeft: true, microbatches }).storage).slice();
  });
}

/** Computes the product of each run of k separately, and adds the products in pairs. */
function productInPairs(backend: HostBackend, sizes: Product, left: Float32Array, right: Float32Array): Float32Array {
  const { m, n, microbatches, run } = sizes;
  const parts = Array.from({ length: microbatches }, (_, index) => {
    const part = (values: Float32Array, width: number): Float32Array =>
      values.subarray(index * run * width, (index + 1) * run * width);
    return product(backend, { ...sizes, microbatches: 1 }, part(left, m), part(right, n));
  });
  return addedInPairs(parts);
}

const products = fc.record({
  m: fc.integer({ min: 1, max: 40 }),
  n: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constant(515)),
  microbatches: fc.integer({ min: 1, max: 16 }),
  run: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 20 }) }, fc.integer({ min: 21, max: 70 })),
});

describe('a product per microbatch on cpu', () => {
  it('has the bits of its runs and of the reference, for random sizes and densities', () => {
    fc.assert(
      fc.property(products, fc.constantFrom(1, 0.3, 0.1, 0.01, 0), fc.nat(), (sizes, density, seed) => {
        const k = sizes.microbatches * sizes.run;
        const left = randomValues(sizes.m * k, seed, density).map((value) => (value === 0 && seed % 2 ? -0 : value));
        const right = randomValues(sizes.n * k, seed + 1);
        const whole = bitsOf(product(cpu, sizes, left, right));
        expect(whole).toEqual(bitsOf(productInPairs(cpu, sizes, left, right)));
        expect(whole).toEqual(bitsOf(product(reference, sizes, left, right)));
      }),
      { numRuns: 80, seed: 5 },
    );
  });

  it.each([
    { m: 784, n: 128, microbatches: 4, run: 32 },
    { m: 128, n: 10, microbatches: 8, run: 64 },
    { m: 50, n: 40, microbatches: 9, run: 500 },
    { m: 20, n: 20, microbatches: 4, run: 1500 },
    { m: 6, n: 20, microbatches: 3, run: 3000 },
  ])('has the bits of its runs at the size of real work: %o', (sizes) => {
    for (const density of [1, 0.19]) {
      const k = sizes.microbatches * sizes.run;
      const left = randomValues(sizes.m * k, 7, density);
      const right = randomValues(sizes.n * k, 8);
      expect(bitsOf(product(cpu, sizes, left, right))).toEqual(bitsOf(productInPairs(cpu, sizes, left, right)));
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'lets %f on the right reach every row, through zeros too',
    (poison) => {
      const sizes = { m: 40, n: 32, microbatches: 4, run: 15 };
      const left = randomValues(sizes.m * 60, 31, 0.1);
      const right = randomValues(60 * sizes.n, 32);
      right[17 * sizes.n + 3] = poison;
      const result = product(cpu, sizes, left, right);
      expect(result).toEqual(product(reference, sizes, left, right));
      for (let row = 0; row < sizes.m; row++) expect(Number.isFinite(result[row * sizes.n + 3]!)).toBe(false);
    },
  );
});

/** Parameters of a convolution from two channels to three filters, and of two dense layers after it. */
const shapes = [[3, 3, 2, 3], [3], [75, 9], [9], [9, 4], [4]] as const;

function lossOf(x: Tensor, labels: Tensor, microbatches?: number): (...parameters: Tensor[]) => Tensor {
  return (kernel, offset, w1, b1, w2, b2) => {
    const features = relu(add(conv2d(x, kernel!, { padding: 1 }), offset!));
    const hidden = relu(add(matmul(reshape(features, [x.shape[0]!, 75]), w1!), b1!));
    const losses = softmaxCrossEntropy(add(matmul(hidden, w2!), b2!), labels);
    return sum(losses, microbatches === undefined ? {} : { microbatches });
  };
}

describe.each(backends)('a gradient per microbatch on $name', (backend) => {
  const parameters = shapes.map((shape, index) => fromArray(backend, randomValues(sizeOf(shape), 60 + index), shape));

  /** Returns the gradients, then the loss. */
  const gradientOf = (x: Float32Array, labels: Float32Array, microbatches?: number): Float32Array => {
    const count = labels.length;
    const plan = compile(
      backend,
      (samples, classes, ...leaves) => {
        const options = microbatches === undefined ? {} : { microbatches };
        const { value, gradients } = valueAndGrad(lossOf(samples!, classes!, microbatches), leaves, options);
        return [...gradients, value];
      },
      [[count, 5, 5, 2], [count], ...parameters],
    );
    backend.upload(plan.inputs[0]!.storage, x);
    backend.upload(plan.inputs[1]!.storage, labels);
    plan.run();
    const result = backend.view(plan.output).slice();
    plan.dispose();
    return result;
  };

  it.each([1, 2, 3, 7, 8])('has the bits of %i gradients, added in pairs', (microbatches) => {
    for (const run of [1, 5]) {
      const count = microbatches * run;
      const x = randomValues(count * 50, 70 + run, 0.4);
      const labels = valuesIn('class index', [count], 71, 4);
      const parts = Array.from({ length: microbatches }, (_, index) =>
        gradientOf(
          x.subarray(index * run * 50, (index + 1) * run * 50),
          labels.subarray(index * run, (index + 1) * run),
        ),
      );
      expect(bitsOf(gradientOf(x, labels, microbatches))).toEqual(bitsOf(addedInPairs(parts)));
    }
  });

  it('gives back the memory of its sums', () => {
    const [input, output] = [backend.allocate(36), backend.allocate(3)];
    const allocate = vi.spyOn(backend, 'allocate');
    const free = vi.spyOn(backend, 'free');
    const call = { kind: 'reduce', reduction: 'sum', outer: 1, length: 12, inner: 3, input, output } as const;
    backend.prepare([{ ...call, microbatches: 4 }]).dispose();
    expect(free.mock.calls.map(([storage]) => storage)).toEqual(allocate.mock.results.map(({ value }) => value));
    vi.restoreAllMocks();
  });
});

describe('what cannot be summed per microbatch', () => {
  const x = fromArray(reference, randomValues(12, 1), [4, 3]);
  const weight = fromArray(reference, randomValues(9, 2), [3, 3]);
  const perMicrobatch = (loss: (parameter: Tensor) => Tensor) => () =>
    valueAndGrad(loss, [weight], { microbatches: 2 });

  it('is refused in a sentence', () => {
    expect(perMicrobatch((w) => sum(abs(w)))).toThrow(/cannot sum the gradient of a \[3, 3\] parameter per microbatch/);
    expect(perMicrobatch((w) => sum(matmul(matmul(x, w), w)))).toThrow(/is used twice/);
    expect(perMicrobatch((w) => sum(matmul(w, reshape(x, [3, 4]))))).toThrow(
      /for the right operand, not for the left one/,
    );
    expect(() => sum(x, { microbatches: 3 })).toThrow(
      'sum: expected 3 microbatches to divide the first axis of [4, 3]',
    );
    expect(() => sum(x, { axes: [1], microbatches: 2 })).toThrow(/summed over axes \[1\]/);
    expect(() => matmul(x, weight, { microbatches: 2 })).toThrow(
      'matmul: expected [k, m]ᵀ x [k, n] with k in 2 equal microbatches',
    );
    expect(() => sum(mul(x, 1), { microbatches: 0 })).toThrow();
  });
});

describe.each(backends)('a long sum on $name', (backend) => {
  const sumOf = (values: Float32Array, shape: readonly number[], axis: number, microbatches?: number): Float32Array =>
    tidy(() => {
      const options = microbatches === undefined ? {} : { microbatches };
      return backend.view(sum(fromArray(backend, values, shape), { axes: [axis], ...options }).storage).slice();
    });
  /** Sums `rows` rows from `start` on, few enough to be summed in one run. */
  const run = (values: Float32Array, columns: number, start: number, rows: number): Float32Array =>
    sumOf(values.subarray(start * columns, (start + rows) * columns), [rows, columns], 0);

  it.each([1, 2, 7, 8, 16, 37])('of %i columns has the bits of runs of 128 rows, added in pairs', (columns) => {
    for (const rows of [65_537, 66_560, 70_001]) {
      const values = randomValues(rows * columns, rows);
      const runs = Array.from({ length: Math.ceil(rows / 128) }, (_, index) =>
        run(values, columns, 128 * index, Math.min(128, rows - 128 * index)),
      );
      expect(bitsOf(sumOf(values, [rows, columns], 0))).toEqual(bitsOf(addedInPairs(runs)));
    }
  });

  it('is cut in every row of the outer axes, and in every microbatch', () => {
    const [outer, rows, columns] = [3, 65_600, 5];
    const values = randomValues(outer * rows * columns, 9);
    const parts = Array.from({ length: outer }, (_, index) =>
      sumOf(values.subarray(index * rows * columns, (index + 1) * rows * columns), [rows, columns], 0),
    );
    const whole = sumOf(values, [outer, rows, columns], 1);
    parts.forEach((part, index) => {
      expect(bitsOf(whole.subarray(index * columns, (index + 1) * columns))).toEqual(bitsOf(part));
    });
    expect(bitsOf(sumOf(values, [outer * rows, columns], 0, outer))).toEqual(bitsOf(addedInPairs(parts)));
  });

  it('is a single run up to 65,536 rows, as training needs it', () => {
    const values = randomValues(65_536 * 2, 4);
    const expected = Float32Array.of(0, 0);
    values.forEach((value, index) => {
      expected[index % 2]! += value;
    });
    expect(bitsOf(sumOf(values, [65_536, 2], 0))).toEqual(bitsOf(expected));
  });

  it.each([
    [[1_000_000, 2], 0],
    [[2, 1_000_000], 1],
    [[1_000_000], 0],
  ] as const)('of a million times 0.1 over %j is 100,000', (shape, axis) => {
    const total = sumOf(new Float32Array(sizeOf(shape)).fill(0.1), shape, axis);
    for (const value of total) expect(Math.abs(value - 100_000)).toBeLessThan(0.2);
  });
});
