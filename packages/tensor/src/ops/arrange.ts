/** Ops that rearrange values: reshape, permute axes, broadcast. */
import { checkArgument, list } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import { broadcastCopy, mapViews, reshaped } from '../evaluate.ts';
import { input } from '../formula.ts';
import { checkShape, contiguousStrides, formatShape, normalizeAxes, type Shape, ShapeError, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { defineOp } from './define.ts';

/** Changes the shape and keeps the row-major order of the values; one size may be -1, to be inferred. */
export const reshape = defineOp('reshape', (x: Tensor, shape: Shape): OpResult => {
  checkTensor('reshape', 'x', x);
  checkArgument('reshape', 'the shape', shape, list);
  const complete = withOpenSize(x, shape);
  checkShape('reshape', complete);
  return { output: reshaped(x, complete), operands: [x], gradient: [(g) => reshape(g, x.shape)] };
});

function withOpenSize(x: Tensor, shape: Shape): Shape {
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const length = x.size / sizeOf(shape.filter((_, axis) => axis !== open));
  if (shape.indexOf(-1, open + 1) >= 0 || !Number.isInteger(length)) {
    throw new ShapeError(`reshape: cannot work out -1 in ${formatShape(shape)} for ${formatShape(x.shape)}`);
  }
  return shape.with(open, length);
}

/** Reorders axes: axis i of the result is axis `order[i]` of x: `[a, b, c], [2, 0, 1] -> [c, a, b]`. */
export const permute = defineOp('permute', (x: Tensor, order: readonly number[]): OpResult => {
  checkTensor('permute', 'x', x);
  checkArgument('permute', 'the order', order, list);
  const { backend, shape, storage } = x;
  const axes = order.map((axis) => normalizeAxes('permute', shape, [axis])[0]!);
  if (axes.length !== shape.length || new Set(axes).size !== axes.length) {
    throw new ShapeError(
      `permute: the order must name each of the ${shape.length} axes of ${formatShape(shape)} once, got ${formatShape(order)}`,
    );
  }
  const strides = contiguousStrides(shape);
  const view = { storage, strides: axes.map((axis) => strides[axis]!) };
  const permuted = axes.map((axis) => shape[axis]!);
  const inverse = axes.map((_, axis) => axes.indexOf(axis));
  return {
    output: mapViews(backend, input(0), permuted, [view]),
    operands: [x],
    gradient: [(g) => permute(g, inverse)],
  };
});

/** Swaps two axes, by default the last two: `[m, n] -> [n, m]`. */
export function transpose(x: Tensor, first = -2, second = -1): Tensor {
  checkTensor('transpose', 'x', x);
  const { shape } = x;
  if (shape.length < 2) throw new ShapeError(`transpose: expected at least two axes, got ${formatShape(shape)}`);
  const [from] = normalizeAxes('transpose', shape, [first]) as [number];
  const [to] = normalizeAxes('transpose', shape, [second]) as [number];
  const order = shape.map((_, axis) => (axis === from ? to : axis === to ? from : axis));
  return permute(x, order);
}

/** Repeats the values along missing axes and axes of size 1: `[3] -> [2, 3]`. */
export const broadcastTo = defineOp('broadcastTo', (x: Tensor, shape: Shape): OpResult => {
  checkTensor('broadcastTo', 'x', x);
  checkShape('broadcastTo', shape);
  const missing = shape.length - x.shape.length;
  const fits = x.shape.every((length, axis) => length === 1 || length === shape[axis + missing]);
  if (missing < 0 || !fits) {
    throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} cannot be repeated to ${formatShape(shape)}`);
  }
  return { output: broadcastCopy(x, shape), operands: [x], gradient: [(g) => g] };
});
