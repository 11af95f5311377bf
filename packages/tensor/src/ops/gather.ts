/** Ops that pick values by index. An index that is not a whole number inside the axis picks NaN. */
import { checkArgument, wholeNumber } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import type { GatherCall, ScatterAddCall } from '../backend.ts';
import { arange } from '../creation.ts';
import { commonBackend, computed } from '../evaluate.ts';
import { formatShape, normalizeAxes, type Shape, ShapeError, sameShape, sizeOf, unexpectedShapes } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal } from './compare.ts';
import { defineOp } from './define.ts';
import { slice } from './slice.ts';

type Indexing = Pick<GatherCall | ScatterAddCall, 'kind' | 'ownIndices' | 'count'> & {
  /** Shape of the indexed tensor. */
  readonly shape: Shape;
  readonly axis: number;
};

function runIndexing(indexing: Indexing, input: Tensor, indices: Tensor, outputShape: Shape): Tensor {
  const { kind, shape, axis, ownIndices, count } = indexing;
  return computed(commonBackend(kind, [input, indices]), outputShape, (output) => ({
    kind,
    outer: sizeOf(shape.slice(0, axis)),
    length: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
    count,
    ownIndices,
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
  const gradient = (g: Tensor): Tensor =>
    scatterAdd(reshape(g, shape.with(at, count)), reshape(indices, [count]), at, shape[at]!);
  return {
    output: runIndexing(indexing, x, indices, shape.toSpliced(at, 1, ...indices.shape)),
    operands: [x, indices],
    gradient: [gradient, noIndexGradient('indexSelect')],
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
