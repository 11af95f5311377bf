/** Ops that reduce values along axes. */
import { checkOptions, number, reduceOptions } from '../arguments.ts';
import { defineOp, type Op, type OpResult, reduceMiddle, reduceOverAxes, reshaped } from '../autograd.ts';
import { formatShape, normalizeAxes, reducedShape, ShapeError, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { broadcastTo, reshape } from './arrange.ts';
import { div, equal, mul } from './elementwise.ts';

/** Axes of a reduction. */
export interface ReduceOptions {
  /** A negative axis counts from the end; all axes by default. */
  readonly axes?: readonly number[];
  /** Keeps the reduced axes, with size 1. */
  readonly keepAxes?: boolean;
}

/** Axes of a sum, and the order of additions. */
export interface SumOptions extends ReduceOptions {
  /**
   * Number of equal runs that the sum over the first axis is split into (`Microbatches` in backend.ts); 1 by default.
   * The first axis must be one of the summed axes.
   */
  readonly microbatches?: number;
}

/** Sum of the values along axes: `[2, 3, 4] over axes [0, 2] -> [3]`. The sum of no values is 0. */
export const sum = defineOp('sum', (x: Tensor, options: SumOptions = {}): OpResult => {
  checkTensor('sum', 'x', x);
  checkOptions('sum', options, { ...reduceOptions, microbatches: number });
  const { shape } = x;
  const { microbatches, keepAxes = false } = options;
  const axes = normalizeAxes('sum', shape, options.axes);
  if (microbatches !== undefined && (axes[0] !== 0 || shape[0]! % microbatches !== 0)) {
    throw new ShapeError(
      `sum: expected ${microbatches} microbatches to divide the first axis of ${formatShape(shape)}, summed over axes ${formatShape(axes)}`,
    );
  }
  const sums = microbatches === undefined ? undefined : { microbatches };
  return {
    output: reshaped(reduceOverAxes('sum', x, axes, sums), reducedShape(shape, axes, keepAxes)),
    operands: [x],
    gradient: [(g) => broadcastTo(reshaped(g, reducedShape(shape, axes, true)), shape)],
  };
});

/** Mean of the values along axes: their sum divided by their number. The mean of no values is NaN. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor('mean', 'x', x);
  checkOptions('mean', options, reduceOptions);
  const axes = normalizeAxes('mean', x.shape, options.axes);
  return div(sum(x, options), sizeOf(axes.map((axis) => x.shape[axis]!)));
}

function extreme(name: 'max' | 'min', which: string): Op<[x: Tensor, options?: ReduceOptions]> {
  return defineOp(name, (x: Tensor, options: ReduceOptions = {}): OpResult => {
    checkTensor(name, 'x', x);
    checkOptions(name, options, reduceOptions);
    const { shape } = x;
    const axes = normalizeAxes(name, shape, options.axes);
    const empty = axes.find((axis) => shape[axis] === 0);
    if (empty !== undefined) {
      throw new ShapeError(`${name}: axis ${empty} of ${formatShape(shape)} is empty and has no ${which} value`);
    }
    const output = reshaped(reduceOverAxes(name, x, axes), reducedShape(shape, axes, options.keepAxes ?? false));
    const gradient = (g: Tensor): Tensor => {
      const kept = reducedShape(shape, axes, true);
      const isExtreme = equal(x, reshape(output, kept));
      return mul(isExtreme, div(reshape(g, kept), sum(isExtreme, { axes, keepAxes: true })));
    };
    return { output, operands: [x], gradient: [gradient] };
  });
}

/** Largest value along axes; NaN if any is. Ties share the gradient equally, as in PyTorch's amax. */
export const max = extreme('max', 'largest');

/** Smallest value along axes; NaN if any is. Ties share the gradient equally, as in PyTorch's amin. */
export const min = extreme('min', 'smallest');

/**
 * Index of the largest value along one axis, which is dropped, or by default among all values.
 * The first NaN if there is one, else the first of equal values, in row-major order.
 */
export const argmax = defineOp('argmax', (x: Tensor, axis?: number): OpResult => {
  checkTensor('argmax', 'x', x);
  const shape = axis === undefined ? [x.size] : x.shape;
  const [at] = normalizeAxes('argmax', shape, [axis === undefined ? 0 : axis]) as [number];
  if (shape[at] === 0) {
    throw new ShapeError(`argmax: axis ${axis ?? 0} of ${formatShape(shape)} is empty and has no largest value`);
  }
  return { output: reduceMiddle('argmax', x, shape, at, at + 1), operands: [x] };
});
