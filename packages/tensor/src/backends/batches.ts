/** Where the matrices of a batched product lie. */
import type { MatmulBatch, MatmulCall } from '../backend.ts';
import { sizeOf } from '../shape.ts';

/** In elements from the start of each storage. */
export interface BatchOffsets {
  readonly left: number;
  readonly right: number;
  readonly output: number;
}

/** One entry per matrix of the output, in its order; a call without a batch has one. */
export function batchOffsets({ m, n, batch }: MatmulCall): BatchOffsets[] {
  if (batch === undefined) return [{ left: 0, right: 0, output: 0 }];
  return Array.from({ length: sizeOf(batch.shape) }, (_, matrix) => {
    let [left, right, rest] = [0, 0, matrix];
    for (let axis = batch.shape.length - 1; axis >= 0; axis--) {
      const index = rest % batch.shape[axis]!;
      rest = (rest - index) / batch.shape[axis]!;
      left += index * batch.leftStrides[axis]!;
      right += index * batch.rightStrides[axis]!;
    }
    return { left, right, output: matrix * m * n };
  });
}

/** Values that an operand needs: up to the end of its last matrix, of `size` values. A batch must not be empty. */
export function operandLength(batch: MatmulBatch | undefined, side: 'left' | 'right', size: number): number {
  const strides = batch?.[`${side}Strides`] ?? [];
  return strides.reduce((sum, stride, axis) => sum + stride * (batch!.shape[axis]! - 1), size);
}
