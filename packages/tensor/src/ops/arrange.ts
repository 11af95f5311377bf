/** Operations that move values without changing them. */
import { mapViews, reshaped } from '../evaluate.ts';
import { input } from '../formula.ts';
import { checkShape, formatShape, type Shape, ShapeError, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { defineOperation } from './define.ts';

export const reshapeOperation = defineOperation<{ readonly shape: Shape }>({
  name: 'reshape',
  forward: ([operand], { shape }) => ({ output: reshaped(operand as Tensor, shape) }),
  gradient: [(gradient, { operands }) => reshape(gradient, (operands[0] as Tensor).shape)],
  examples: [
    { shapes: [[2, 6]], attributes: { shape: [3, 4] } },
    { shapes: [[1]], attributes: { shape: [] } },
    { shapes: [[0, 3]], attributes: { shape: [2, 0] } },
  ],
});

/** The same values in row-major order under another shape of equal size. One size may be -1: it is worked out. */
export function reshape(operand: Tensor, shape: Shape): Tensor {
  const open = shape.indexOf(-1);
  let complete = shape;
  if (open >= 0) {
    const known = sizeOf(shape.filter((_, axis) => axis !== open));
    const length = operand.size / known;
    if (shape.indexOf(-1, open + 1) >= 0 || !Number.isInteger(length)) {
      throw new ShapeError(`reshape: cannot work out -1 in ${formatShape(shape)} for ${formatShape(operand.shape)}`);
    }
    complete = shape.with(open, length);
  }
  checkShape('reshape', complete);
  return reshapeOperation.apply([operand], { shape: complete });
}

export const transposeOperation = defineOperation<Record<never, never>>({
  name: 'transpose',
  forward([operand]) {
    const source = operand as Tensor;
    if (source.shape.length !== 2) {
      throw new ShapeError(`transpose: expected two axes, got ${formatShape(source.shape)}`);
    }
    const [rows, columns] = source.shape as [number, number];
    const view = { storage: source.storage, strides: [1, columns] };
    return { output: mapViews(source.backend, input(0), [columns, rows], [view]) };
  },
  gradient: [(gradient) => transpose(gradient)],
  examples: [
    [3, 5],
    [1, 4],
    [0, 3],
    [1, 1],
    [9, 17],
  ].map((shape) => ({ shapes: [shape], attributes: {} })),
});

/** `[m, n] -> [n, m]`. */
export function transpose(operand: Tensor): Tensor {
  return transposeOperation.apply([operand], {});
}

export const arrangeOperations = [reshapeOperation, transposeOperation] as const;
