/** Operations that combine the values along axes. */
import { broadcastCopy, reduceMiddle, reduceOverAxes, reshaped } from '../evaluate.ts';
import { formatShape, normalizeAxes, reducedShape, type Shape, ShapeError, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal } from './compare.ts';
import { defineOperation, type Example, type Operation } from './define.ts';
import { div, mul } from './elementwise.ts';

export interface ReduceOptions {
  /** Counted from the end where negative; all axes where left out. */
  readonly axes?: readonly number[];
  /** Leaves size 1 in place of the reduced axes. */
  readonly keepAxes?: boolean;
}

export interface SumOptions extends ReduceOptions {
  /**
   * Cuts the first axis, which must be one of those summed over, into so many equal runs, sums each alone and adds the
   * runs' sums in pairs (`Microbatches` in backend.ts). One where left out.
   */
  readonly microbatches?: number;
}

const sumExamples: readonly Example<SumOptions>[] = [
  { shapes: [[2, 3]], attributes: {} },
  { shapes: [[]], attributes: {} },
  { shapes: [[0]], attributes: {} },
  { shapes: [[37]], attributes: {} },
  { shapes: [[3, 0]], attributes: { axes: [1] } },
  { shapes: [[5, 3]], attributes: { axes: [0] } },
  { shapes: [[5, 3]], attributes: { axes: [-1], keepAxes: true } },
  { shapes: [[2, 3, 4]], attributes: { axes: [0, 2] } },
  { shapes: [[2, 3, 4]], attributes: { axes: [1], keepAxes: true } },
  { shapes: [[2, 1, 4, 3]], attributes: { axes: [0, 1, 3], keepAxes: true } },
  { shapes: [[60]], attributes: { microbatches: 3 } },
  { shapes: [[14, 5]], attributes: { axes: [0], microbatches: 7 } },
  { shapes: [[12, 2, 3]], attributes: { axes: [0, 2], microbatches: 6 } },
  { shapes: [[0, 3]], attributes: { axes: [0], microbatches: 2 } },
];

export const sumOperation = defineOperation<SumOptions>({
  name: 'sum',
  forward([operand], options) {
    const source = operand as Tensor;
    const { microbatches } = options;
    const axes = normalizeAxes('sum', source.shape, options.axes);
    if (microbatches !== undefined && (axes[0] !== 0 || source.shape[0]! % microbatches !== 0)) {
      throw new ShapeError(
        `sum: expected ${microbatches} microbatches to divide the first axis of ${formatShape(source.shape)}, summed over axes ${formatShape(axes)}`,
      );
    }
    const total = reduceOverAxes('sum', source, axes, microbatches);
    return { output: reshaped(total, reducedShape(source.shape, axes, options.keepAxes ?? false)) };
  },
  gradient: [
    (gradient, { operands, attributes }) => {
      const { shape } = operands[0] as Tensor;
      const axes = normalizeAxes('sum', shape, attributes.axes);
      return broadcastTo(reshaped(gradient, reducedShape(shape, axes, true)), shape);
    },
  ],
  examples: sumExamples,
});

/** Sum of the values along axes: `[2, 3, 4] over axes [0, 2] -> [3]`. The sum of nothing is 0. */
export function sum(operand: Tensor, options: SumOptions = {}): Tensor {
  return sumOperation.apply([operand], options);
}

/** Mean of the values along axes: their sum divided by their number. The mean of nothing is NaN. */
export function mean(operand: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = normalizeAxes('mean', operand.shape, options.axes);
  return div(sum(operand, options), sizeOf(axes.map((axis) => operand.shape[axis]!)));
}

function extremeOperation(reduction: 'max' | 'min'): Operation<ReduceOptions> {
  return defineOperation<ReduceOptions>({
    name: reduction,
    forward([operand], options) {
      const source = operand as Tensor;
      const axes = normalizeAxes(reduction, source.shape, options.axes);
      const empty = axes.find((axis) => source.shape[axis] === 0);
      if (empty !== undefined) {
        const which = reduction === 'max' ? 'largest' : 'smallest';
        throw new ShapeError(
          `${reduction}: axis ${empty} of ${formatShape(source.shape)} is empty and has no ${which} value`,
        );
      }
      const extreme = reduceOverAxes(reduction, source, axes);
      return { output: reshaped(extreme, reducedShape(source.shape, axes, options.keepAxes ?? false)) };
    },
    gradient: [
      (gradient, { operands: [operand], output, attributes }) => {
        const source = operand as Tensor;
        const axes = normalizeAxes(reduction, source.shape, attributes.axes);
        const kept = reducedShape(source.shape, axes, true);
        const isExtreme = equal(source, reshape(output, kept));
        const share = div(reshape(gradient, kept), sum(isExtreme, { axes, keepAxes: true }));
        return mul(isExtreme, share);
      },
    ],
    examples: [
      { shapes: [[2, 3]], attributes: {} },
      { shapes: [[]], attributes: {} },
      { shapes: [[1]], attributes: {} },
      { shapes: [[37]], attributes: {} },
      { shapes: [[0, 3]], attributes: { axes: [1] } },
      { shapes: [[5, 9]], attributes: { axes: [0] } },
      { shapes: [[5, 3]], attributes: { axes: [-1], keepAxes: true } },
      { shapes: [[2, 3, 4]], attributes: { axes: [0, 2] } },
      { shapes: [[2, 1, 4, 3]], attributes: { axes: [0, 1, 3], keepAxes: true } },
    ].map((example) => ({ ...example, domains: ['distinct'] })),
  });
}

export const maxOperation = extremeOperation('max');
export const minOperation = extremeOperation('min');

/** Largest value along axes; NaN if any is. Values that tie for it share the gradient equally, as PyTorch's amax. */
export function max(operand: Tensor, options: ReduceOptions = {}): Tensor {
  return maxOperation.apply([operand], options);
}

/** Smallest value along axes; NaN if any is. Values that tie for it share the gradient equally, as PyTorch's amin. */
export function min(operand: Tensor, options: ReduceOptions = {}): Tensor {
  return minOperation.apply([operand], options);
}

export const broadcastOperation = defineOperation<{ readonly shape: Shape }>({
  name: 'broadcastTo',
  forward: ([operand], { shape }) => ({ output: broadcastCopy(operand as Tensor, shape) }),
  gradient: [(gradient) => gradient],
  examples: [
    { shapes: [[3]], attributes: { shape: [2, 3] } },
    { shapes: [[]], attributes: { shape: [4] } },
    { shapes: [[2, 1]], attributes: { shape: [2, 5] } },
    { shapes: [[1, 3]], attributes: { shape: [0, 3] } },
    { shapes: [[0]], attributes: { shape: [2, 0] } },
  ],
});

/** Repeats the values along missing axes and axes of size 1: `[3] -> [2, 3]`. */
export function broadcastTo(operand: Tensor, shape: Shape): Tensor {
  const missing = shape.length - operand.shape.length;
  const fits = operand.shape.every((length, axis) => length === 1 || length === shape[axis + missing]);
  if (missing < 0 || !fits) {
    throw new ShapeError(`broadcastTo: ${formatShape(operand.shape)} cannot be repeated to ${formatShape(shape)}`);
  }
  return broadcastOperation.apply([operand], { shape });
}

export const argmaxOperation = defineOperation<{ readonly axis: number }>({
  name: 'argmax',
  forward([operand], { axis }) {
    const source = operand as Tensor;
    const [at] = normalizeAxes('argmax', source.shape, [axis]) as [number];
    if (source.shape[at] === 0) {
      throw new ShapeError(`argmax: axis ${axis} of ${formatShape(source.shape)} is empty and has no largest value`);
    }
    return { output: reduceMiddle('argmax', source, source.shape, at, at + 1) };
  },
  gradient: 'none',
  examples: [
    { shapes: [[4, 10]], attributes: { axis: 1 } },
    { shapes: [[4, 10]], attributes: { axis: 0 } },
    { shapes: [[2, 3, 5]], attributes: { axis: -2 } },
    { shapes: [[0, 3]], attributes: { axis: 1 } },
    { shapes: [[1]], attributes: { axis: 0 } },
  ],
});

/**
 * Index of the largest value along one axis, which is dropped, or among all in row-major order where it is left out;
 * the first where several are equal, or the first NaN.
 */
export function argmax(operand: Tensor, axis?: number): Tensor {
  if (axis === undefined) return argmaxOperation.apply([reshape(operand, [operand.size])], { axis: 0 });
  return argmaxOperation.apply([operand], { axis });
}

export const reduceOperations = [
  sumOperation,
  maxOperation,
  minOperation,
  broadcastOperation,
  argmaxOperation,
] as const;
