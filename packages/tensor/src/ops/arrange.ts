/** Ops that move values: views, slices, joins, gathering and scattering. */
import { checkArgument, checkFields, isWholeNumber, list, number, shown, wholeNumber } from '../arguments.ts';
import {
  commonBackend,
  computed,
  defineOp,
  mapViews,
  type OpResult,
  reshaped,
  runCall,
  summedShape,
} from '../autograd.ts';
import type { GatherCall, Layout, MicrobatchSums, ScatterAddCall } from '../backend.ts';
import { arange } from '../creation.ts';
import { constant, input } from '../formula.ts';
import {
  broadcastStrides,
  checkShape,
  contiguousStrides,
  formatShape,
  normalizeAxes,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
  unexpectedShapes,
} from '../shape.ts';
import { checkTensor, checkTensors, emptyTensor, type Tensor } from '../tensor.ts';
import { equal } from './elementwise.ts';

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
  const view = { storage: x.storage, strides: broadcastStrides(x.shape, shape) };
  return { output: mapViews(x.backend, input(0), shape, [view]), operands: [x], gradient: [(g) => g] };
});

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
function copyInto(output: Tensor, outputLayout: Layout, { storage, shape }: Tensor): void {
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

/** Concatenates tensors along an axis: `[2, 3] and [2, 1] along 1 -> [2, 4]`. */
export const concat = defineOp('concat', (tensors: readonly Tensor[], axis: number = 0): OpResult => {
  checkTensors('concat', 'the tensors', tensors);
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('concat: expected at least one tensor, got none');
  const [at] = normalizeAxes('concat', first.shape, [axis]) as [number];
  for (const { shape } of tensors) {
    if (shape.length !== first.shape.length || !sameShape(shape.with(at, 0), first.shape.with(at, 0))) {
      throw new ShapeError(
        `concat: ${formatShape(first.shape)} and ${formatShape(shape)} differ at an axis other than ${axis}`,
      );
    }
  }
  const backend = commonBackend('concat', tensors);
  let end = 0;
  const ranges = tensors.map(({ shape }) => {
    const start = end;
    end += shape[at]!;
    return { start, end };
  });
  const output = emptyTensor(backend, first.shape.with(at, end));
  const strides = contiguousStrides(output.shape);
  tensors.forEach((tensor, position) => {
    const layout = { offset: ranges[position]!.start * strides[at]!, strides };
    copyInto(output, layout, tensor);
  });
  const whole: Range[] = first.shape.map(() => ({}));
  const gradient = ranges.map((range) => (g: Tensor) => slice(g, whole.with(at, range)));
  return { output, operands: tensors, gradient };
});

/** Stacks tensors of one shape along a new axis: three of `[2, 4]` along 1 -> `[2, 3, 4]`. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  checkTensors('stack', 'the tensors', tensors);
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('stack: expected at least one tensor, got none');
  const different = tensors.find(({ shape }) => !sameShape(shape, first.shape));
  if (different !== undefined) {
    throw unexpectedShapes('stack: all tensors need one shape', first.shape, different.shape);
  }
  const [at] = normalizeAxes('stack', [...first.shape, 1], [axis]) as [number];
  const single = first.shape.toSpliced(at, 0, 1);
  const elements = tensors.map((tensor) => reshape(tensor, single));
  return concat(elements, at);
}

type Indexing = Pick<GatherCall | ScatterAddCall, 'kind' | 'ownIndices' | 'count'> &
  MicrobatchSums & {
    /** Shape of the indexed tensor. */
    readonly shape: Shape;
    readonly axis: number;
  };

function runIndexing(indexing: Indexing, input: Tensor, indices: Tensor, outputShape: Shape): Tensor {
  const { shape, axis, ...sizes } = indexing;
  return computed(commonBackend(sizes.kind, [input, indices]), outputShape, (output) => ({
    ...sizes,
    outer: sizeOf(shape.slice(0, axis)),
    length: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
    input: input.storage,
    indices: indices.storage,
    output,
  }));
}

function checkIndexing(operation: string, values: Tensor, indices: Tensor): void {
  checkTensor(operation, 'what is indexed', values);
  checkTensor(operation, 'the indices', indices);
}

function noIndexGradient(operation: string): () => never {
  return () => {
    throw new Error(`${operation}: indices have no gradient`);
  };
}

/**
 * Picks one value for each index along an axis; along axis 1, `result[i][j] = x[i][indices[i][j]]`.
 * The indices have as many axes as x. Along the other axes they may be shorter than x. The result has the shape of the
 * indices.
 */
export const gather = defineOp('gather', (x: Tensor, axis: number, indices: Tensor): OpResult => {
  checkIndexing('gather', x, indices);
  const [at] = normalizeAxes('gather', x.shape, [axis]) as [number];
  const fits =
    indices.shape.length === x.shape.length &&
    indices.shape.every((length, along) => along === at || length <= x.shape[along]!);
  if (!fits) {
    throw new ShapeError(
      `gather: indices ${formatShape(indices.shape)} must have the axes of ${formatShape(x.shape)}, none longer but axis ${axis}`,
    );
  }
  const shape = indices.shape.with(at, x.shape[at]!);
  const ranges = shape.map((end) => ({ end }));
  const source = sameShape(shape, x.shape) ? x : slice(x, ranges);
  const indexing = { kind: 'gather', shape, axis: at, ownIndices: true, count: indices.shape[at]! } as const;
  return {
    output: runIndexing(indexing, source, indices, indices.shape),
    operands: [source, indices],
    gradient: [(g) => scatterAdd(g, indices, at, shape[at]!), noIndexGradient('gather')],
  };
});

/**
 * Picks slices of x along an axis at indices of any shape, as in an embedding.
 * `[words, width], [n, t] -> [n, t, width]`.
 */
export const indexSelect = defineOp('indexSelect', (x: Tensor, indices: Tensor, axis: number = 0): OpResult => {
  checkIndexing('indexSelect', x, indices);
  const { shape } = x;
  const [at] = normalizeAxes('indexSelect', shape, [axis]) as [number];
  const count = indices.size;
  const indexing = { kind: 'gather', shape, axis: at, ownIndices: false, count } as const;
  const gradient = (g: Tensor): Tensor => {
    const { perMicrobatch } = x;
    if (perMicrobatch !== undefined && at !== 0) {
      throw new Error('indexSelect: a gradient is summed per microbatch only for picks along axis 0');
    }
    const adjoint = { ...indexing, kind: 'scatterAdd', ...perMicrobatch } as const;
    return runIndexing(adjoint, g, indices, summedShape(shape, perMicrobatch));
  };
  return {
    output: runIndexing(indexing, x, indices, shape.toSpliced(at, 1, ...indices.shape)),
    operands: [x, indices],
    gradient: [gradient, noIndexGradient('indexSelect')],
    microbatchSums: true,
  };
});

/**
 * Adds values at their indices along an axis of `length`; the adjoint of gather and indexSelect.
 * The indices have the shape of the values, or are one list for all: `[n, t], [n, t] or [t], axis 1 -> [n, length]`.
 */
export const scatterAdd = defineOp(
  'scatterAdd',
  (values: Tensor, indices: Tensor, axis: number, length: number): OpResult => {
    checkIndexing('scatterAdd', values, indices);
    checkArgument('scatterAdd', 'the length', length, wholeNumber(0));
    const [at] = normalizeAxes('scatterAdd', values.shape, [axis]) as [number];
    const count = values.shape[at]!;
    const ownIndices = sameShape(indices.shape, values.shape);
    if (!ownIndices && !sameShape(indices.shape, [count])) {
      const expected = `indices of the values' shape ${formatShape(values.shape)}, or one list [${count}] for axis ${axis}`;
      throw unexpectedShapes(`scatterAdd: expected ${expected}`, indices.shape);
    }
    const shape = values.shape.with(at, length);
    const indexing = { kind: 'scatterAdd', shape, axis: at, ownIndices, count } as const;
    return {
      output: runIndexing(indexing, values, indices, shape),
      operands: [values, indices],
      gradient: [
        (g) => (ownIndices ? gather(g, at, indices) : indexSelect(g, indices, at)),
        noIndexGradient('scatterAdd'),
      ],
    };
  },
);

/** One-hot encodes indices in a new last axis; all 0 for an index out of range: `[n] -> [n, classes]`. */
export function oneHot(indices: Tensor, classes: number): Tensor {
  checkTensor('oneHot', 'the indices', indices);
  checkArgument('oneHot', 'the number of classes', classes, wholeNumber(1));
  return equal(reshape(indices, [...indices.shape, 1]), arange(indices.backend, classes));
}
