/** Operations that move values without changing them. */
import { mapInto, mapViews, reshaped } from '../evaluate.ts';
import { constant, input } from '../formula.ts';
import {
  checkShape,
  contiguousStrides,
  formatShape,
  normalizeAxes,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
} from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { defineOperation, type Operation } from './define.ts';

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

export const permuteOperation = defineOperation<{ readonly order: readonly number[] }>({
  name: 'permute',
  forward([operand], { order }) {
    const { backend, shape, storage } = operand as Tensor;
    const strides = contiguousStrides(shape);
    const view = { storage, strides: order.map((axis) => strides[axis]!) };
    const permuted = order.map((axis) => shape[axis]!);
    return { output: mapViews(backend, input(0), permuted, [view]) };
  },
  gradient: [
    (gradient, { attributes: { order } }) =>
      permute(
        gradient,
        order.map((_, axis) => order.indexOf(axis)),
      ),
  ],
  examples: [
    { shapes: [[3, 5]], attributes: { order: [1, 0] } },
    { shapes: [[1, 4]], attributes: { order: [1, 0] } },
    { shapes: [[9, 17]], attributes: { order: [1, 0] } },
    { shapes: [[2, 3, 4]], attributes: { order: [2, 0, 1] } },
    { shapes: [[2, 3, 1, 5]], attributes: { order: [0, 3, 1, 2] } },
    { shapes: [[0, 3]], attributes: { order: [1, 0] } },
    { shapes: [[1, 1]], attributes: { order: [1, 0] } },
    { shapes: [[1]], attributes: { order: [0] } },
  ],
});

/** Axes in another order, axis i of the result being axis `order[i]` of the operand: `[a, b, c], [2, 0, 1] -> [c, a, b]`. */
export function permute(operand: Tensor, order: readonly number[]): Tensor {
  const axes = order.map((axis) => normalizeAxes('permute', operand.shape, [axis])[0]!);
  if (axes.length !== operand.shape.length || new Set(axes).size !== axes.length) {
    throw new ShapeError(
      `permute: the order must name each of the ${operand.shape.length} axes of ${formatShape(operand.shape)} once, got ${formatShape(order)}`,
    );
  }
  return permuteOperation.apply([operand], { order: axes });
}

/** Two axes exchanged, the last two where left out: `[m, n] -> [n, m]`. */
export function transpose(operand: Tensor, first = -2, second = -1): Tensor {
  const { shape } = operand;
  if (shape.length < 2) throw new ShapeError(`transpose: expected at least two axes, got ${formatShape(shape)}`);
  const [from] = normalizeAxes('transpose', shape, [first]) as [number];
  const [to] = normalizeAxes('transpose', shape, [second]) as [number];
  const order = shape.map((_, axis) => (axis === from ? to : axis === to ? from : axis));
  return permuteOperation.apply([operand], { order });
}

/** One value per axis. */
interface Lattice {
  readonly starts: readonly number[];
  readonly steps: readonly number[];
}

/** Where the points of a lattice lie in a contiguous tensor of `shape`. */
function latticeLayout(shape: Shape, { starts, steps }: Lattice): { offset: number; strides: number[] } {
  const strides = contiguousStrides(shape);
  return {
    offset: starts.reduce((sum, start, axis) => sum + start * strides[axis]!, 0),
    strides: strides.map((stride, axis) => stride * steps[axis]!),
  };
}

type SliceAttributes = Lattice & { readonly shape: Shape };

export const sliceOperation: Operation<SliceAttributes> = defineOperation<SliceAttributes>({
  name: 'slice',
  forward([operand], { shape, ...lattice }) {
    const source = operand as Tensor;
    const view = { storage: source.storage, ...latticeLayout(source.shape, lattice) };
    return { output: mapViews(source.backend, input(0), shape, [view]) };
  },
  gradient: [
    (gradient, { operands, attributes: { starts, steps } }) =>
      placeOperation.apply([gradient], { shape: (operands[0] as Tensor).shape, starts, steps, value: 0 }),
  ],
  examples: [
    { shapes: [[7]], attributes: { shape: [3], starts: [1], steps: [2] } },
    { shapes: [[4, 5]], attributes: { shape: [2, 5], starts: [1, 0], steps: [1, 1] } },
    { shapes: [[4, 5]], attributes: { shape: [4, 2], starts: [0, 2], steps: [1, 2] } },
    { shapes: [[3, 4, 5]], attributes: { shape: [2, 1, 3], starts: [0, 3, 1], steps: [2, 1, 1] } },
    { shapes: [[3, 4]], attributes: { shape: [0, 4], starts: [3, 0], steps: [1, 1] } },
    { shapes: [[0]], attributes: { shape: [0], starts: [0], steps: [1] } },
    { shapes: [[1]], attributes: { shape: [1], starts: [0], steps: [1] } },
  ],
});

type PlaceAttributes = SliceAttributes & { readonly value: number };

/** `place(x)`: x on the points of a lattice in a tensor that holds `value` elsewhere; the adjoint of slice. */
const placeOperation: Operation<PlaceAttributes> = defineOperation<PlaceAttributes>({
  name: 'place',
  forward([operand], { shape, value, ...lattice }) {
    const source = operand as Tensor;
    const output = mapViews(source.backend, constant(value), shape, []);
    const view = { storage: source.storage, strides: contiguousStrides(source.shape) };
    mapInto(output, latticeLayout(shape, lattice), input(0), source.shape, [view]);
    return { output };
  },
  gradient: [
    (gradient, { operands, attributes: { starts, steps } }) =>
      sliceOperation.apply([gradient], { shape: (operands[0] as Tensor).shape, starts, steps }),
  ],
  examples: [
    { shapes: [[3]], attributes: { shape: [7], starts: [1], steps: [2], value: 0 } },
    { shapes: [[2, 5]], attributes: { shape: [5, 5], starts: [1, 0], steps: [2, 1], value: 3 } },
    { shapes: [[2, 2, 3]], attributes: { shape: [4, 2, 8], starts: [1, 0, 1], steps: [2, 1, 3], value: -1 } },
    { shapes: [[0, 3]], attributes: { shape: [2, 3], starts: [1, 0], steps: [1, 1], value: 2 } },
    { shapes: [[1]], attributes: { shape: [1], starts: [0], steps: [1], value: 0 } },
  ],
});

/** A stretch of one axis. Positions count from the end where negative, and stop at the ends. */
export interface Range {
  /** The first position, 0 where left out. */
  readonly start?: number;
  /** The position behind the last, the axis's size where left out. */
  readonly end?: number;
  /** Distance between positions taken, at least 1, which is the default. */
  readonly step?: number;
}

/** The values at ranges of the leading axes, one per axis, `{}` for all: `[4, 5], [{ start: 1, end: 3 }] -> [2, 5]`. */
export function slice(operand: Tensor, ranges: readonly Range[]): Tensor {
  const { shape } = operand;
  if (ranges.length > shape.length) {
    throw new ShapeError(`slice: ${ranges.length} ranges were given for ${formatShape(shape)}`);
  }
  const resolved = shape.map((length, axis) => {
    const { start = 0, end = length, step = 1 } = ranges[axis] ?? {};
    if (![start, end, step].every(Number.isInteger) || step < 1) {
      throw new ShapeError(
        `slice: a range needs whole numbers and a step of at least 1, got start ${start}, end ${end}, step ${step}`,
      );
    }
    const inside = (position: number): number =>
      Math.min(Math.max(position < 0 ? position + length : position, 0), length);
    const first = inside(start);
    return { first, step, count: Math.max(0, Math.ceil((inside(end) - first) / step)) };
  });
  return sliceOperation.apply([operand], {
    shape: resolved.map(({ count }) => count),
    starts: resolved.map(({ first, count }) => (count === 0 ? 0 : first)),
    steps: resolved.map(({ step }) => step),
  });
}

/** `value` around the operand, `[before, after]` elements of it along each axis: `[2, 3], [[1, 0], [0, 2]] -> [3, 5]`. */
export function pad(operand: Tensor, amounts: readonly (readonly [number, number])[], value = 0): Tensor {
  const { shape } = operand;
  if (amounts.length !== shape.length || !amounts.flat().every((amount) => Number.isInteger(amount) && amount >= 0)) {
    const given = amounts.map(formatShape).join(', ');
    throw new ShapeError(
      `pad: expected [before, after] of whole numbers of at least 0 for each axis of ${formatShape(shape)}, got ${given}`,
    );
  }
  return placeOperation.apply([operand], {
    shape: shape.map((length, axis) => amounts[axis]![0] + length + amounts[axis]![1]),
    starts: amounts.map(([before]) => before),
    steps: shape.map(() => 1),
    value,
  });
}

export const concatOperation = defineOperation<{ readonly axis: number }>({
  name: 'concat',
  forward(operands, { axis }) {
    const parts = operands as readonly Tensor[];
    const [{ backend, shape: first }] = parts as [Tensor];
    const total = parts.reduce((sum, { shape }) => sum + shape[axis]!, 0);
    const output = emptyTensor(backend, first.with(axis, total));
    const strides = contiguousStrides(output.shape);
    let start = 0;
    for (const { storage, shape } of parts) {
      const layout = { offset: start * strides[axis]!, strides };
      mapInto(output, layout, input(0), shape, [{ storage, strides: contiguousStrides(shape) }]);
      start += shape[axis]!;
    }
    return { output };
  },
  gradient:
    (position) =>
    (gradient, { operands, attributes: { axis } }) => {
      const lengths = operands.map((operand) => (operand as Tensor).shape[axis]!);
      const start = lengths.slice(0, position).reduce((sum, length) => sum + length, 0);
      const ranges = gradient.shape.map((_, at) => (at === axis ? { start, end: start + lengths[position]! } : {}));
      return slice(gradient, ranges);
    },
  examples: [
    { shapes: [[2], [3], [1]], attributes: { axis: 0 } },
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      attributes: { axis: 1 },
    },
    {
      shapes: [
        [2, 3, 2],
        [2, 0, 2],
        [2, 4, 2],
      ],
      attributes: { axis: 1 },
    },
    {
      shapes: [
        [0, 3],
        [2, 3],
      ],
      attributes: { axis: 0 },
    },
    { shapes: [[1]], attributes: { axis: 0 } },
  ],
});

/** The tensors one after another along an axis, whose sizes may differ: `[2, 3] and [2, 1] along 1 -> [2, 4]`. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('concat: expected at least one tensor, got none');
  const [at] = normalizeAxes('concat', first.shape, [axis]) as [number];
  for (const { shape, backend } of tensors) {
    if (shape.length !== first.shape.length || !sameShape(shape.with(at, 0), first.shape.with(at, 0))) {
      throw new ShapeError(
        `concat: ${formatShape(first.shape)} and ${formatShape(shape)} differ at an axis other than ${axis}`,
      );
    }
    if (backend !== first.backend) throw new Error('concat: the tensors live on different backends');
  }
  return concatOperation.apply(tensors, { axis: at });
}

/** Tensors of one shape as the elements of a new axis: three of `[2, 4]` along 1 -> `[2, 3, 4]`. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('stack: expected at least one tensor, got none');
  const different = tensors.find(({ shape }) => !sameShape(shape, first.shape));
  if (different !== undefined) {
    throw new ShapeError(
      `stack: all tensors need one shape, got ${formatShape(first.shape)} and ${formatShape(different.shape)}`,
    );
  }
  const [at] = normalizeAxes('stack', [...first.shape, 1], [axis]) as [number];
  const single = first.shape.toSpliced(at, 0, 1);
  return concat(
    tensors.map((tensor) => reshape(tensor, single)),
    at,
  );
}

export const arrangeOperations = [
  reshapeOperation,
  permuteOperation,
  sliceOperation,
  placeOperation,
  concatOperation,
] as const;
