/** Matrix products: bits of the reference, independent rows, exact skipping of zeros. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromArray, type HostBackend, matmul, openBackend, tidy } from '../src/index.ts';
import { addedInPairs, bitsOf, randomValues } from './support.ts';

const { backend: cpu } = await openBackend('cpu');
const { backend: reference } = await openBackend('reference');

interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeLeft?: boolean;
  readonly transposeRight?: boolean;
  readonly microbatches?: number;
}

function product(
  backend: HostBackend,
  { m, k, n, transposeLeft = false, transposeRight = false, ...options }: Product,
  left: Float32Array,
  right: Float32Array,
): Float32Array {
  return tidy(() => {
    const a = fromArray(backend, left, transposeLeft ? [k, m] : [m, k]);
    const b = fromArray(backend, right, transposeRight ? [n, k] : [k, n]);
    return backend.view(matmul(a, b, { transposeLeft, transposeRight, ...options }).storage).slice();
  });
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!);
}

/** Lays axes out in any order with gaps between neighbors; the first axis may repeat the same values. */
function layoutOf(
  shape: readonly number[],
  { order, gaps }: { order: readonly number[]; gaps: number },
  offset: number,
  repeats: boolean,
) {
  const strides = shape.map(() => 0);
  let stride = 1 + (gaps % 2);
  for (const axis of order) {
    if (axis === 0 && repeats) continue;
    strides[axis] = stride;
    stride = stride * shape[axis]! + gaps;
  }
  return { strides, offset, length: offset + Math.max(stride, 1) };
}

const size = fc.oneof(fc.constantFrom(0, 1), fc.integer({ min: 2, max: 40 }), fc.constantFrom(96, 97, 130));
const anyProduct = fc.record({
  m: size,
  k: fc.oneof(size, fc.constantFrom(391, 392, 393, 800)),
  n: size,
  transposeLeft: fc.boolean(),
  transposeRight: fc.boolean(),
});

/** Expects cpu to have the bits of the reference for random operands, the left one of a density. */
function expectReference(sizes: Product, density: number, seed: number): void {
  const left = randomValues(sizes.m * sizes.k, seed, density);
  const right = randomValues(sizes.k * sizes.n, seed + 1);
  expect(bitsOf(product(cpu, sizes, left, right))).toEqual(bitsOf(product(reference, sizes, left, right)));
}

describe('cpu', () => {
  it('has the bits of the reference for random sizes, transpositions and densities', () => {
    fc.assert(fc.property(anyProduct, fc.constantFrom(1, 0.5, 0.2, 0.02, 0), fc.nat(), expectReference), {
      numRuns: 150,
      seed: 3,
    });
  });

  it.each([
    { m: 64, k: 784, n: 128 },
    { m: 32, k: 784, n: 128 },
    { m: 784, k: 32, n: 128, transposeLeft: true },
    { m: 7, k: 50, n: 1030 },
    { m: 200, k: 20, n: 24 },
    { m: 20, k: 1100, n: 530 },
    { m: 20, k: 1100, n: 530, transposeLeft: true },
  ])('has the bits of the reference at the size of real work: %o', (sizes) => {
    for (const density of [1, 0.19]) expectReference(sizes, density, 7);
  });

  it('gives a row the same bits whatever batch it stands in', () => {
    const [k, n] = [393, 20];
    const right = randomValues(k * n, 21);
    for (const density of [1, 0.15]) {
      const rows = randomValues(101 * k, 20, density);
      const together = product(cpu, { m: 101, k, n }, rows, right);
      for (const [from, to] of [
        [0, 1],
        [3, 5],
        [10, 14],
        [40, 45],
        [50, 101],
      ] as const) {
        const part = product(cpu, { m: to - from, k, n }, rows.subarray(from * k, to * k), right);
        expect(bitsOf(part)).toEqual(bitsOf(together.subarray(from * n, to * n)));
      }
    }
  });

  it('has the bits of the reference for batches, each matrix as if it were alone', () => {
    const [m, k, n] = [5, 33, 17];
    const left = randomValues(2 * 3 * m * k, 41);
    const right = randomValues(3 * n * k, 42);
    const batched = (backend: HostBackend): Float32Array =>
      tidy(() => {
        const [a, b] = [fromArray(backend, left, [2, 3, m, k]), fromArray(backend, right, [3, n, k])];
        return backend.view(matmul(a, b, { transposeRight: true }).storage).slice();
      });
    const together = batched(cpu);
    expect(bitsOf(together)).toEqual(bitsOf(batched(reference)));
    for (let index = 0; index < 6; index++) {
      const own = left.subarray(index * m * k, (index + 1) * m * k);
      const others = right.subarray((index % 3) * n * k, ((index % 3) + 1) * n * k);
      const alone = product(cpu, { m, k, n, transposeRight: true }, own, others);
      expect(bitsOf(together.subarray(index * m * n, (index + 1) * m * n))).toEqual(bitsOf(alone));
    }
  });

  it('has the bits of the reference wherever the matrices of a batch lie', () => {
    const few = fc.constantFrom(0, 1, 2, 5, 8);
    const layout = fc.record({
      order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      gaps: fc.nat(2),
      seed: fc.nat(),
    });
    const axes = fc.record({ batch: fc.tuple(few, few), m: few, k: fc.oneof(few, fc.constant(400)), n: few });
    fc.assert(
      fc.property(axes, layout, layout, fc.nat(9), fc.boolean(), ({ batch, m, k, n }, own, other, offset, repeats) => {
        const layouts = [layoutOf([...batch, m, k], own, offset, repeats), layoutOf([...batch, k, n], other, 3, false)];
        const on = (backend: HostBackend): Float32Array => {
          const [left, right] = layouts.map(({ length }, index) => {
            const storage = backend.allocate(length);
            backend.upload(storage, randomValues(length, own.seed + index, 0.5));
            return storage;
          });
          const output = backend.allocate(batch[0] * batch[1] * m * n);
          const call = { kind: 'matmul', batch, m, k, n, left: left!, right: right!, output } as const;
          const program = backend.prepare([{ ...call, leftLayout: layouts[0]!, rightLayout: layouts[1]! }]);
          program.run();
          program.run();
          const result = backend.view(output).slice();
          program.dispose();
          for (const storage of [left!, right!, output]) backend.free(storage);
          return result;
        };
        expect(bitsOf(on(cpu))).toEqual(bitsOf(on(reference)));
      }),
      { numRuns: 200, seed: 5 },
    );
  });

  it('skips zeros with the bits of the product that does not', () => {
    const sparse = fc.record({
      m: fc.integer({ min: 30, max: 70 }),
      k: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 40, max: 140 }) }, fc.integer({ min: 1000, max: 1100 })),
      n: fc.integer({ min: 16, max: 70 }),
      transposeLeft: fc.boolean(),
    });
    fc.assert(
      fc.property(sparse, fc.nat(), (sizes, seed) => {
        const { m, k, n } = sizes;
        const left = randomValues(m * k, seed, 0.2);
        const right = randomValues(k * n, seed + 1);
        // A transposed right operand is always multiplied densely.
        const dense = product(cpu, { ...sizes, transposeRight: true }, left, transposed(right, k, n));
        expect(bitsOf(product(cpu, sizes, left, right))).toEqual(bitsOf(dense));
      }),
      { numRuns: 60, seed: 4 },
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'lets %f on the right reach every row, through zeros too',
    (poison) => {
      for (const form of [{}, { transposeLeft: true }, { transposeLeft: true, microbatches: 4 }]) {
        const sizes = { m: 40, k: 60, n: 32, ...form };
        const left = randomValues(sizes.m * sizes.k, 31, 0.1);
        const right = randomValues(sizes.k * sizes.n, 32);
        right[17 * sizes.n + 3] = poison;
        const result = product(cpu, sizes, left, right);
        expect(result).toEqual(product(reference, sizes, left, right));
        for (let row = 0; row < sizes.m; row++) expect(Number.isFinite(result[row * sizes.n + 3]!)).toBe(false);
      }
    },
  );

  it('keeps a NaN on the left of a sparse product', () => {
    const sizes = { m: 40, k: 60, n: 32 };
    const left = randomValues(sizes.m * sizes.k, 33, 0.1);
    left[7 * sizes.k + 11] = Number.NaN;
    const result = product(cpu, sizes, left, randomValues(sizes.k * sizes.n, 34));
    expect(result.slice(7 * sizes.n, 8 * sizes.n).every(Number.isNaN)).toBe(true);
    expect(result.slice(0, 7 * sizes.n).every(Number.isFinite)).toBe(true);
  });

  it('never gives -0, as a chain from +0 cannot', () => {
    const sizes = { m: 40, k: 60, n: 32 };
    for (const density of [0, 0.05, 1]) {
      const left = randomValues(sizes.m * sizes.k, 35, density).map((value) => (value === 0 ? -0 : value * 1e-30));
      const right = randomValues(sizes.k * sizes.n, 36).map((value) => value * 1e-30);
      expect(product(cpu, sizes, left, right).some((value) => Object.is(value, -0))).toBe(false);
    }
  });
});

/** Computes the product of each microbatch separately, and adds the products in pairs. */
function productInPairs(sizes: Product, left: Float32Array, right: Float32Array): Float32Array {
  const { m, k, n, microbatches = 1 } = sizes;
  const run = k / microbatches;
  const parts = Array.from({ length: microbatches }, (_, index) => {
    const part = (values: Float32Array, width: number): Float32Array =>
      values.subarray(index * run * width, (index + 1) * run * width);
    return product(cpu, { m, k: run, n, transposeLeft: true }, part(left, m), part(right, n));
  });
  return addedInPairs(parts);
}

describe('a product per microbatch on cpu', () => {
  const products = fc.record({
    m: fc.integer({ min: 1, max: 40 }),
    n: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constant(515)),
    microbatches: fc.integer({ min: 1, max: 16 }),
    run: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 20 }) }, fc.integer({ min: 21, max: 70 })),
  });

  it('has the bits of its runs and of the reference, for random sizes and densities', () => {
    fc.assert(
      fc.property(products, fc.constantFrom(1, 0.3, 0.1, 0.01, 0), fc.nat(), ({ run, ...rest }, density, seed) => {
        const sizes = { ...rest, k: rest.microbatches * run, transposeLeft: true };
        const left = randomValues(sizes.m * sizes.k, seed, density).map((value) =>
          value === 0 && seed % 2 ? -0 : value,
        );
        const right = randomValues(sizes.n * sizes.k, seed + 1);
        const whole = bitsOf(product(cpu, sizes, left, right));
        expect(whole).toEqual(bitsOf(productInPairs(sizes, left, right)));
        expect(whole).toEqual(bitsOf(product(reference, sizes, left, right)));
      }),
      { numRuns: 80, seed: 5 },
    );
  });

  it.each([
    { m: 784, k: 128, n: 128, microbatches: 4 },
    { m: 128, k: 512, n: 10, microbatches: 8 },
    { m: 50, k: 4500, n: 40, microbatches: 9 },
    { m: 20, k: 6000, n: 20, microbatches: 4 },
    { m: 6, k: 9000, n: 20, microbatches: 3 },
  ])('has the bits of its runs at the size of real work: %o', (sizes) => {
    for (const density of [1, 0.19]) {
      const left = randomValues(sizes.m * sizes.k, 7, density);
      const right = randomValues(sizes.n * sizes.k, 8);
      const whole = product(cpu, { ...sizes, transposeLeft: true }, left, right);
      expect(bitsOf(whole)).toEqual(bitsOf(productInPairs(sizes, left, right)));
    }
  });
});
