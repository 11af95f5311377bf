/** Products of matrices: each element one chain over the inner dimension; then the epilogue. */
import type { Epilogue, HostBackend } from '../../backend.ts';

const { fround } = Math;

/** Element (i, j) lies at `start + i * rowStride + j * columnStride`. */
export interface Matrix {
  readonly values: Float32Array;
  readonly start?: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** A contiguous matrix [rows, columns], or one that is stored transposed, as [columns, rows]. */
export function matrix(values: Float32Array, rows: number, columns: number, transposed = false): Matrix {
  return transposed ? { values, rowStride: 1, columnStride: rows } : { values, rowStride: columns, columnStride: 1 };
}

/** `output[m, n] = left[m, k] x right[k, n]`, contiguous from `start` on. */
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
      const factor = left.values[(left.start ?? 0) + row * left.rowStride + inner * left.columnStride]!;
      const rightRow = (right.start ?? 0) + inner * right.rowStride;
      for (let column = 0; column < n; column++) {
        const term = fround(factor * right.values[rightRow + column * right.columnStride]!);
        output[start + row * n + column]! += term;
      }
    }
  }
}

/** A function that applies the epilogue to `rows` x `columns` values. */
export function prepareEpilogue(
  epilogue: Epilogue | undefined,
  output: Float32Array,
  [rows, columns]: readonly [number, number],
  valuesOf: HostBackend['view'],
): () => void {
  if (epilogue === undefined) return () => {};
  const bias = epilogue.bias && valuesOf(epilogue.bias);
  return () => {
    for (let index = 0; index < rows * columns; index++) {
      const value = bias === undefined ? output[index]! : fround(output[index]! + bias[index % columns]!);
      output[index] = epilogue.relu ? Math.max(value, 0) : value;
    }
  };
}
