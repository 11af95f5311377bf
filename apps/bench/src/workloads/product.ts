/** The work of the benchmark `matmul`: two dense matrices, and their product in double precision. */
import { randomStream } from '@lockstep/tensor';
import type { Check } from '../benchmark.ts';
import { norm, relativeDistance } from '../statistics.ts';

export type Product = ReturnType<typeof denseProduct>;

/** `left` [m, k] x `right` [k, n], row-major: nonzero values in (-1, 1), the same on every machine. */
export function denseProduct(m: number, k: number, n: number) {
  const random = randomStream(1);
  // Odd multiples of 2^-23, which float32 holds exactly.
  const value = (): number => (Math.floor(random() * 2 ** 23) + 0.5) / 2 ** 22 - 1;
  const matrix = (length: number) => Float32Array.from({ length }, value);
  return { m, k, n, left: matrix(m * k), right: matrix(k * n) };
}

export function floatingPointOperations({ m, k, n }: Product): number {
  return 2 * m * k * n;
}

/** Checks an output [m, n] by its distance from the double-precision product; the figure is its Euclidean norm. */
export function productCheck({ m, k, n, left, right }: Product): (output: Float32Array) => Check {
  const expected = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const sums = expected.subarray(row * n, (row + 1) * n);
    for (let inner = 0; inner < k; inner++) {
      const factor = left[row * k + inner]!;
      const start = inner * n;
      for (let column = 0; column < n; column++) sums[column]! += factor * right[start + column]!;
    }
  }
  return (output) => ({ distance: relativeDistance(output, expected), figure: norm(output) });
}
