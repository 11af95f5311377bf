/** Slicing, and its adjoint: placing a tensor inside a larger one. */
import { checkArgument, checkFields, list, number, shown } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import type { Layout } from '../backend.ts';
import { mapViews, runCall } from '../evaluate.ts';
import { constant, input } from '../formula.ts';
import {
  checkShape,
  contiguousStrides,
  formatShape,
  type Shape,
  ShapeError,
  sameShape,
  unexpectedShapes,
} from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { isWholeNumber } from '../whole-number.ts';
import { defineOp } from './define.ts';

/** A range of one axis. Negative positions count from the end; positions are clamped to the axis. */
export interface Range {
  /** The first position, 0 by default. */
  readonly start?: number;
  /** The position after the last, by default the size of the axis. */
  readonly end?: number;
  /** Distance between positions, at least 1, which is the default. */
  readonly step?: number;
}

/** The positions of one axis that a range selects. */
interface Points {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

function pointsOf(operation: string, shape: Shape, ranges: readonly Range[]): Points[] {
  checkArgument(operation, 'the ranges', ranges, list);
  for (const [axis, range] of ranges.entries()) {
    checkFields(operation, `range ${axis}`, range, { start: number, end: number, step: number });
  }
  if (ranges.length > shape.length) {
    throw new ShapeError(`${operation}: ${ranges.length} ranges were given for ${formatShape(shape)}`);
  }
  return shape.map((length, axis) => {
    const { start = 0, end = length, step = 1 } = ranges[axis] ?? {};
    if (![start, end, step].every(Number.isInteger) || step < 1) {
      throw new ShapeError(
        `${operation}: a range needs whole numbers and a step of at least 1, got start ${start}, end ${end}, step ${step}`,
      );
    }
    const inside = (position: number): number =>
      Math.min(Math.max(position < 0 ? position + length : position, 0), length);
    const count = Math.max(0, Math.ceil((inside(end) - inside(start)) / step));
    return { start: count === 0 ? 0 : inside(start), step, count };
  });
}

/** Returns the layout of the selected points in a contiguous tensor of `shape`. */
function layoutOf(shape: Shape, points: readonly Points[]): Layout {
  const strides = contiguousStrides(shape);
  return {
    offset: points.reduce((sum, { start }, axis) => sum + start * strides[axis]!, 0),
    strides: points.map(({ step }, axis) => strides[axis]! * step),
  };
}

/** Copies the values of a tensor to the positions in `output` that `outputLayout` gives. */
export function copyInto(output: Tensor, outputLayout: Layout, { storage, shape }: Tensor): void {
  const inputs = [{ storage, strides: contiguousStrides(shape) }];
  runCall(output.backend, { kind: 'map', formula: input(0), shape, inputs, output: output.storage, outputLayout });
}

/** Selects one range per leading axis, `{}` for all of it: `[4, 5], [{ start: 1, end: 3 }] -> [2, 5]`. */
export const slice = defineOp('slice', (x: Tensor, ranges: readonly Range[]): OpResult => {
  checkTensor('slice', 'x', x);
  const points = pointsOf('slice', x.shape, ranges);
  const view = { storage: x.storage, ...layoutOf(x.shape, points) };
  const counts = points.map(({ count }) => count);
  const output = mapViews(x.backend, input(0), counts, [view]);
  return { output, operands: [x], gradient: [(g) => place(g, x.shape, ranges)] };
});

/** Makes a tensor of `shape` with x at the ranges and else `value`; the adjoint of slice. */
export const place = defineOp(
  'place',
  (x: Tensor, shape: Shape, ranges: readonly Range[], value: number = 0): OpResult => {
    checkTensor('place', 'x', x);
    checkShape('place', shape);
    checkArgument('place', 'the value', value, number);
    const points = pointsOf('place', shape, ranges);
    const counts = points.map(({ count }) => count);
    if (!sameShape(x.shape, counts)) {
      throw unexpectedShapes(
        `place: expected values ${formatShape(counts)} for the ranges of ${formatShape(shape)}`,
        x.shape,
      );
    }
    const output = mapViews(x.backend, constant(value), shape, []);
    copyInto(output, layoutOf(shape, points), x);
    return { output, operands: [x], gradient: [(g) => slice(g, ranges)] };
  },
);

/**
 * Pads each axis of x with `[before, after]` elements of `value`.
 * `[2, 3], [[1, 0], [0, 2]] -> [3, 5]`.
 */
export function pad(x: Tensor, amounts: readonly (readonly [number, number])[], value = 0): Tensor {
  checkTensor('pad', 'x', x);
  checkArgument('pad', 'the amounts', amounts, list);
  checkArgument('pad', 'the value', value, number);
  const { shape } = x;
  const isPair = (pair: readonly number[]): boolean =>
    Array.isArray(pair) && pair.length === 2 && pair.every((amount) => isWholeNumber(amount));
  if (amounts.length !== shape.length || !amounts.every(isPair)) {
    const expected = `[before, after] of whole numbers of at least 0 for each axis of ${formatShape(shape)}`;
    throw new ShapeError(`pad: expected ${expected}, got ${shown(amounts)}`);
  }
  const padded = amounts.map(([before, after], axis) => before + shape[axis]! + after);
  const ranges = amounts.map(([before], axis) => ({ start: before, end: before + shape[axis]! }));
  return place(x, padded, ranges, value);
}
