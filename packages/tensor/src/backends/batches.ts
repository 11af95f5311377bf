/** Positions of the matrices in a batched product. */
import type { MatmulCall } from '../backend.ts';
import { sizeOf } from '../shape.ts';

/**
 * Returns the offset of each matrix in elements, one entry per matrix of the output; a call without a batch has one
 * entry.
 */
export function batchOffsets({ m, n, batch }: Pick<MatmulCall, 'm' | 'n' | 'batch'>) {
  const { shape, leftStrides, rightStrides } = batch ?? { shape: [], leftStrides: [], rightStrides: [] };
  return Array.from({ length: sizeOf(shape) }, (_, matrix) => {
    let [left, right, rest] = [0, 0, matrix];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const index = rest % shape[axis]!;
      rest = (rest - index) / shape[axis]!;
      left += index * leftStrides[axis]!;
      right += index * rightStrides[axis]!;
    }
    return { left, right, output: matrix * m * n };
  });
}
