/** Matrix products: each element is one chain over the inner dimension; then the epilogue. */
import type { ConvolutionCall, MatmulCall } from '../../backend.ts';
import type { Placed } from '../operands.ts';

const { fround } = Math;

/**
 * A contiguous matrix [rows, columns], or a transposed one, stored as [columns, rows].
 * Element (i, j) is at `start + i * rowStride + j * columnStride`.
 */
export function matrix(values: Float32Array, rows: number, columns: number, transposed = false) {
  return { values, start: 0, rowStride: transposed ? 1 : columns, columnStride: transposed ? rows : 1 };
}

type Matrix = ReturnType<typeof matrix>;

/** Computes `output[m, n] = left[m, k] x right[k, n]`, contiguous from `start` on. */
export function multiply(
  [m, k, n]: readonly [number, number, number],
  left: Matrix,
  right: Matrix,
  output: Float32Array,
  start = 0,
): void {
  output.fill(0, start, start + m * n);
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = left.values[left.start + row * left.rowStride + inner * left.columnStride]!;
      const rightRow = right.start + inner * right.rowStride;
      for (let column = 0; column < n; column++) {
        const term = fround(factor * right.values[rightRow + column * right.columnStride]!);
        output[start + row * n + column]! += term;
      }
    }
  }
}

/** Applies the epilogue of a call to its output, in rows of `n` or `filters` values. */
export function finishProduct(call: Placed<MatmulCall | ConvolutionCall, Float32Array>): void {
  const { epilogue, bias, output } = call;
  if (epilogue === undefined) return;
  const columns = call.kind === 'matmul' ? call.n : call.filters;
  output.forEach((sum, index) => {
    const value = bias === undefined ? sum : fround(sum + bias[index % columns]!);
    output[index] = epilogue.relu ? Math.max(value, 0) : value;
  });
}
