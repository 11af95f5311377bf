/** The work of the benchmark `matmul`: two dense matrices, and their product in double precision. */
import { randomStream } from '@lockstep/tensor';
import type { Case } from './benchmark.ts';
import { relativeDistance } from './statistics.ts';

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

/** The distance of an output [m, n] from the product in double precision. */
export function productDistance({ m, k, n, left, right }: Product): Case['distance'] {
  const expected = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const sums = expected.subarray(row * n, (row + 1) * n);
    for (let inner = 0; inner < k; inner++) {
      const factor = left[row * k + inner]!;
      const start = inner * n;
      for (let column = 0; column < n; column++) sums[column]! += factor * right[start + column]!;
    }
  }
  return (output) => relativeDistance(output, expected);
}
