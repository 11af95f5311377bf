/** Operations that pick values by index. An index that is not a whole number inside the axis picks NaN. */
import { commonBackend, runCall } from '../evaluate.ts';
import { formatShape, normalizeAxes, type Shape, ShapeError, sameShape, sizeOf } from '../shape.ts';
import { emptyTensor, fromArray, type Tensor } from '../tensor.ts';
import { reshape, slice } from './arrange.ts';
import { equal } from './compare.ts';
import { defineOperation, type Example, type Operation } from './define.ts';

interface Along {
  readonly axis: number;
  /** Whether there is an index for every element, or one list [count] for all. */
  readonly ownIndices: boolean;
}

type AlongLength = Along & { readonly length: number };

function noIndexGradient(): never {
  throw new Error('gather: indices have no gradient');
}

export const gatherOperation: Operation<Along> = defineOperation<Along>({
  name: 'gather',
  forward(operands, { axis, ownIndices }) {
    const [source, indices] = operands as [Tensor, Tensor];
    const { shape } = source;
    const count = ownIndices ? indices.shape[axis]! : indices.size;
    const output = emptyTensor(commonBackend('gather', operands), shape.with(axis, count));
    runCall(output.backend, {
      kind: 'gather',
      ...aroundAxis(shape, axis),
      count,
      ownIndices,
      input: source.storage,
      indices: indices.storage,
      output: output.storage,
    });
    return { output };
  },
  gradient: [
    (gradient, { operands: [source, indices], attributes }) => {
      const length = (source as Tensor).shape[attributes.axis]!;
      return scatterAddOperation.apply([gradient, indices!], { ...attributes, length });
    },
    noIndexGradient,
  ],
  examples: [
    { shapes: [[5], [3]], attributes: { axis: 0, ownIndices: true } },
    {
      shapes: [
        [2, 5],
        [2, 3],
      ],
      attributes: { axis: 1, ownIndices: true },
    },
    {
      shapes: [
        [3, 4, 3],
        [3, 2, 3],
      ],
      attributes: { axis: 1, ownIndices: true },
    },
    {
      shapes: [
        [6, 3],
        [5, 3],
      ],
      attributes: { axis: 0, ownIndices: true },
    },
    { shapes: [[7, 5], [4]], attributes: { axis: 0, ownIndices: false } },
    { shapes: [[2, 5, 4], [6]], attributes: { axis: 1, ownIndices: false } },
    { shapes: [[0], [0]], attributes: { axis: 0, ownIndices: true } },
    { shapes: [[3, 2], [0]], attributes: { axis: 0, ownIndices: false } },
    { shapes: [[1], [1]], attributes: { axis: 0, ownIndices: false } },
  ].map(withIndices),
});

/** Adds values at their indices along an axis of `length`; the adjoint of gather. */
const scatterAddOperation: Operation<AlongLength> = defineOperation<AlongLength>({
  name: 'scatterAdd',
  forward(operands, { axis, ownIndices, length }) {
    const [source, indices] = operands as [Tensor, Tensor];
    const shape = source.shape.with(axis, length);
    const output = emptyTensor(commonBackend('scatterAdd', operands), shape);
    runCall(output.backend, {
      kind: 'scatterAdd',
      ...aroundAxis(shape, axis),
      count: source.shape[axis]!,
      ownIndices,
      input: source.storage,
      indices: indices.storage,
      output: output.storage,
    });
    return { output };
  },
  gradient: [
    (gradient, { operands: [, indices], attributes: { axis, ownIndices } }) =>
      gatherOperation.apply([gradient, indices!], { axis, ownIndices }),
    noIndexGradient,
  ],
  examples: [
    { shapes: [[5], [5]], attributes: { axis: 0, ownIndices: true, length: 6 } },
    {
      shapes: [
        [4, 3],
        [4, 3],
      ],
      attributes: { axis: 0, ownIndices: true, length: 3 },
    },
    { shapes: [[4, 17], [4]], attributes: { axis: 0, ownIndices: false, length: 20 } },
    { shapes: [[2, 4, 3], [4]], attributes: { axis: 1, ownIndices: false, length: 3 } },
    { shapes: [[0, 2], [0]], attributes: { axis: 0, ownIndices: false, length: 3 } },
    { shapes: [[1], [1]], attributes: { axis: 0, ownIndices: true, length: 1 } },
  ].map(withIndices),
});

function withIndices<Attributes>(example: Example<Attributes>): Example<Attributes> {
  return { ...example, domains: ['any', 'class index'] };
}

function aroundAxis(shape: Shape, axis: number): { outer: number; length: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), length: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) };
}

/**
 * One value for each index, along an axis, as PyTorch's gather: along axis 1 `result[i][j] = operand[i][indices[i][j]]`.
 * The indices have as many axes as the operand; sizes off the axis may be smaller than the operand's. The result has
 * the shape of the indices.
 */
export function gather(operand: Tensor, axis: number, indices: Tensor): Tensor {
  const [at] = normalizeAxes('gather', operand.shape, [axis]) as [number];
  const fits =
    indices.shape.length === operand.shape.length &&
    indices.shape.every((length, along) => along === at || length <= operand.shape[along]!);
  if (!fits) {
    throw new ShapeError(
      `gather: indices ${formatShape(indices.shape)} must have the axes of ${formatShape(operand.shape)}, none longer but axis ${axis}`,
    );
  }
  const needed = indices.shape.with(at, operand.shape[at]!);
  const ranges = needed.map((end) => ({ end }));
  const source = sameShape(needed, operand.shape) ? operand : slice(operand, ranges);
  return gatherOperation.apply([source, indices], { axis: at, ownIndices: true });
}

/**
 * Whole slices of the operand at indices of any shape along an axis: rows of an embedding table
 * `[words, width], [n, t] -> [n, t, width]`.
 */
export function indexSelect(operand: Tensor, indices: Tensor, axis = 0): Tensor {
  const [at] = normalizeAxes('indexSelect', operand.shape, [axis]) as [number];
  const picked = gatherOperation.apply([operand, indices], { axis: at, ownIndices: false });
  const shape = operand.shape.toSpliced(at, 1, ...indices.shape);
  return sameShape(shape, picked.shape) ? picked : reshape(picked, shape);
}

/** A new last axis with 1 at the index and 0 elsewhere; all 0 where the index is not below `classes`: `[n] -> [n, classes]`. */
export function oneHot(indices: Tensor, classes: number): Tensor {
  if (!Number.isInteger(classes) || classes < 1) {
    throw new ShapeError(`oneHot: the number of classes must be a whole number of at least 1, got ${classes}`);
  }
  const numbers = fromArray(
    indices.backend,
    Array.from({ length: classes }, (_, index) => index),
  );
  return equal(reshape(indices, [...indices.shape, 1]), numbers);
}

export const gatherOperations = [gatherOperation, scatterAddOperation] as const;
