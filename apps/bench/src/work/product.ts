/** The work of the matmul question: two dense matrices, and their product in double precision. */
import type { Verdict } from '../question.ts';
import { relativeDistance } from '../statistics.ts';

/** `left` [m, k] x `right` [k, n], in row-major order. */
export interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly left: Float32Array<ArrayBuffer>;
  readonly right: Float32Array<ArrayBuffer>;
}

/** Matrices of values in [-1, 1) without a zero, the same on every machine. */
export function denseProduct(m: number, k: number, n: number): Product {
  let state = 1;
  const value = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return ((state >>> 8) + 0.5) / 2 ** 23 - 1;
  };
  return {
    m,
    k,
    n,
    left: Float32Array.from({ length: m * k }, value),
    right: Float32Array.from({ length: k * n }, value),
  };
}

/** Multiplications and additions, each counted. */
export function floatingPointOperations({ m, k, n }: Product): number {
  return 2 * m * k * n;
}

/** `left x right` [m, n] in double precision. */
export function trueProduct({ m, k, n, left, right }: Product): Float64Array {
  const output = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const sums = output.subarray(row * n, (row + 1) * n);
    for (let inner = 0; inner < k; inner++) {
      const factor = left[row * k + inner]!;
      const start = inner * n;
      for (let column = 0; column < n; column++) sums[column]! += factor * right[start + column]!;
    }
  }
  return output;
}

/** Judges an output by its distance from the true one; the figure is its Euclidean norm. */
export function productJudge(work: Product): (output: Float32Array) => Verdict {
  const expected = trueProduct(work);
  return (output) => ({
    distance: relativeDistance(output, expected),
    figure: Math.sqrt(output.reduce((sum, value) => sum + value * value, 0)),
  });
}
