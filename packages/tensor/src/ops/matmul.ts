/** Products of matrices and vectors, and the lengths and angles of vectors. */
import { boolean, checkOptions, number, reduceOptions } from '../arguments.ts';
import { commonBackend, computed, defineOp, noGrad, type OpResult, summedShape } from '../autograd.ts';
import type { MicrobatchSums } from '../backend.ts';
import {
  broadcastShapes,
  broadcastStrides,
  formatShape,
  normalizeAxes,
  reducedShape,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
  unexpectedShapes,
} from '../shape.ts';
import { checkTensor, type Tensor, tidy } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { abs, div, equal, greaterEqual, lessEqual, maximum, mul, sqrt, where } from './elementwise.ts';
import { max, type ReduceOptions, sum } from './reduce.ts';

/** How the operands of a matrix product are read. */
export interface MatmulOptions {
  /** Reads the left operand, stored as [k, m], as [m, k]. */
  readonly transposeLeft?: boolean;
  /** Reads the right operand, stored as [n, k], as [k, n]. */
  readonly transposeRight?: boolean;
  /**
   * Number of equal runs that sums over k are split into (`Microbatches` in backend.ts); 1 by default.
   * Only for two matrices, without batch axes, of which just the left one is transposed.
   */
  readonly microbatches?: number;
}

/**
 * Multiplies matrices: `[m, k] x [k, n] -> [m, n]`. Batch axes come first and broadcast:
 * `[a, 1, m, k] x [b, k, n] -> [a, b, m, n]`. As in PyTorch, an operand with one axis is a row on the left and a column
 * on the right, and the result drops that axis: `[k] x [k] -> []`.
 * The bits of a row of the result do not depend on the other rows.
 */
export const matmul = defineOp('matmul', (left: Tensor, right: Tensor, options: MatmulOptions = {}): OpResult => {
  checkTensor('matmul', 'the left operand', left);
  checkTensor('matmul', 'the right operand', right);
  checkOptions('matmul', options, { transposeLeft: boolean, transposeRight: boolean, microbatches: number });
  const [isRow, isColumn] = [left.shape.length === 1, right.shape.length === 1];
  const transposeLeft = !isRow && options.transposeLeft === true;
  const transposeRight = !isColumn && options.transposeRight === true;
  const k = left.shape.at(transposeLeft ? -2 : -1);
  const inner = right.shape.at(isColumn || transposeRight ? -1 : -2);
  const shapes = `${describe(left, transposeLeft)} x ${describe(right, transposeRight)}`;
  if (k === undefined || k !== inner) {
    const sizes = `inner sizes ${k ?? 'of a scalar'} and ${inner ?? 'of a scalar'} differ`;
    throw new ShapeError(`matmul: ${shapes}: ${sizes}`);
  }
  const rows = isRow ? reshape(left, [1, k]) : left;
  const columns = isColumn ? reshape(right, [k, 1]) : right;
  const m = rows.shape.at(transposeLeft ? -1 : -2)!;
  const n = columns.shape.at(transposeRight ? -2 : -1)!;
  const batch = broadcastShapes('matmul, batch axes', [rows.shape.slice(0, -2), columns.shape.slice(0, -2)]);
  const { microbatches } = options;
  const divisible = batch.length === 0 && transposeLeft && !transposeRight && k % (microbatches ?? 1) === 0;
  if (microbatches !== undefined && !divisible) {
    throw new ShapeError(
      `matmul: expected [k, m]ᵀ x [k, n] with k in ${microbatches} equal microbatches, got ${shapes}`,
    );
  }
  const read = { transposeLeft, transposeRight };
  const shape = [...batch, ...(isRow ? [] : [m]), ...(isColumn ? [] : [n])];
  const matrices = (g: Tensor): Tensor => (isRow || isColumn ? reshape(g, [...batch, m, n]) : g);
  return {
    output: product(rows, columns, { m, k, n, ...options, ...read }, batch, shape),
    operands: [rows, columns],
    gradient: [
      (g) => leftGradient(matrices(g), rows, columns, read),
      (g) => rightGradient(matrices(g), rows, columns, read),
    ],
    microbatchSums: true,
  };
});

function describe(operand: Tensor, transposed: boolean): string {
  return formatShape(operand.shape) + (transposed ? 'ᵀ' : '');
}

interface Transposes {
  readonly transposeLeft: boolean;
  readonly transposeRight: boolean;
}

interface Sizes extends Transposes, MicrobatchSums {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** Returns the product, with shape `shape`, of matrices with batch axes `batch`. */
function product(left: Tensor, right: Tensor, sizes: Sizes, batch: Shape, shape: Shape): Tensor {
  const { transposeLeft, transposeRight, ...rest } = sizes;
  // If all matrices of the batch share one right operand, their rows form one tall matrix.
  const joined = sizeOf(right.shape.slice(0, -2)) === 1 && !transposeLeft;
  const axes = joined ? [] : batch;
  return computed(commonBackend('matmul', [left, right]), shape, (output) => ({
    kind: 'matmul',
    ...rest,
    m: joined ? sizes.m * sizeOf(batch) : sizes.m,
    left: left.storage,
    right: right.storage,
    output,
    leftLayout: { strides: stridesOf(left, axes, transposeLeft) },
    rightLayout: { strides: stridesOf(right, axes, transposeRight) },
    ...(axes.length === 0 ? {} : { batch: axes }),
  }));
}

/** Returns the strides of the batch axes, then those of one matrix. */
function stridesOf({ shape }: Tensor, batch: Shape, isTransposed: boolean): number[] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const own = batch.length === 0 ? [] : broadcastStrides(shape.slice(0, -2), batch);
  return [...own.map((stride) => stride * rows * columns), ...(isTransposed ? [1, columns] : [columns, 1])];
}

/** `g x rightᵀ`, transposed if the left operand is. */
function leftGradient(g: Tensor, left: Tensor, right: Tensor, { transposeLeft, transposeRight }: Transposes): Tensor {
  if (left.perMicrobatch !== undefined && sameShape(g.shape.slice(0, -2), left.shape.slice(0, -2))) {
    throw new Error('matmul: a gradient is summed per microbatch for the right operand, not for the left one');
  }
  return transposeLeft
    ? matmul(right, g, { transposeLeft: transposeRight, transposeRight: true })
    : matmul(g, right, { transposeRight: !transposeRight });
}

/** `leftᵀ x g`, transposed if the right operand is. */
function rightGradient(g: Tensor, left: Tensor, right: Tensor, { transposeLeft, transposeRight }: Transposes): Tensor {
  const shared = right.shape.length === 2 && !transposeLeft;
  if (shared) {
    const [rows, slopes] = [asMatrix(left), asMatrix(g)];
    const [own, other] = transposeRight ? [slopes, rows] : [rows, slopes];
    const [k, m, n] = [own.shape[0]!, own.shape[1]!, other.shape[1]!];
    const sizes = { m, k, n, transposeLeft: true, transposeRight: false, ...right.perMicrobatch };
    return product(own, other, sizes, [], summedShape(right.shape, right.perMicrobatch));
  }
  if (right.perMicrobatch !== undefined && sameShape(g.shape.slice(0, -2), right.shape.slice(0, -2))) {
    throw new Error('matmul: a gradient is summed per microbatch only if the first axis of the rows is samples');
  }
  return transposeRight
    ? matmul(g, left, { transposeLeft: true, transposeRight: transposeLeft })
    : matmul(left, g, { transposeLeft: !transposeLeft });
}

/** Reshapes a batch of matrices to one matrix with all of their rows. */
function asMatrix(operand: Tensor): Tensor {
  const { shape } = operand;
  return shape.length === 2 ? operand : reshape(operand, [sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
}

/** Beyond these bounds squares may overflow or underflow. Scaling by a power of 2 prevents that, and is exact. */
const [large, small] = [2 ** 48, 2 ** -40];
const [shrink, grow] = [2 ** -100, 2 ** 80];

/**
 * Returns one power of 2 for each vector along the axes, which keep size 1. Scaling the vector by it brings the sum of
 * squares into float32's range. The scale is 1 for most vectors, so that they keep their bits.
 */
function squareScale(x: Tensor, axes: readonly number[]): Tensor {
  return noGrad(() =>
    tidy(() => {
      const largest = max(abs(x), { axes, keepAxes: true });
      return where(greaterEqual(largest, large), shrink, where(lessEqual(largest, small), grow, 1));
    }),
  );
}

/** Euclidean length `sqrt(sum(x^2))` along axes, by default all of them; its derivative at 0 is 0. */
export const norm = defineOp('norm', (x: Tensor, options: ReduceOptions = {}): OpResult => {
  checkTensor('norm', 'x', x);
  checkOptions('norm', options, reduceOptions);
  const axes = normalizeAxes('norm', x.shape, options.axes);
  const kept = reducedShape(x.shape, axes, true);
  const output = noGrad(() =>
    tidy(() => {
      if (axes.some((axis) => x.shape[axis] === 0)) return sum(x, options);
      const scale = squareScale(x, axes);
      const scaled = mul(x, scale);
      const length = div(sqrt(sum(mul(scaled, scaled), { axes, keepAxes: true })), scale);
      return reshape(length, reducedShape(x.shape, axes, options.keepAxes ?? false));
    }),
  );
  const gradient = (g: Tensor): Tensor => {
    const length = reshape(output, kept);
    return mul(where(equal(length, 0), 0, div(x, length)), reshape(g, kept));
  };
  return { output, operands: [x], gradient: [gradient] };
});

/** Sum of the products of two vectors of equal length: `[n], [n] -> []`. */
export function dot(left: Tensor, right: Tensor): Tensor {
  checkTensor('dot', 'the left vector', left);
  checkTensor('dot', 'the right vector', right);
  if (left.shape.length !== 1 || right.shape.length !== 1 || left.size !== right.size) {
    throw unexpectedShapes('dot: expected two vectors of equal length', left.shape, right.shape);
  }
  return sum(mul(left, right));
}

/**
 * Cosine of the angle between vectors along an axis, `x . y / (|x| |y|)`: `[n, d], [n, d] -> [n]`.
 * Each length in the denominator is at least `epsilon`.
 */
export function cosineSimilarity(
  left: Tensor,
  right: Tensor,
  options: { axis?: number; epsilon?: number } = {},
): Tensor {
  checkTensor('cosineSimilarity', 'left', left);
  checkTensor('cosineSimilarity', 'right', right);
  checkOptions('cosineSimilarity', options, { axis: number, epsilon: number });
  const { axis = -1, epsilon = 1e-8 } = options;
  // Normalizing before the product avoids overflow and underflow for vectors of any length.
  const unit = (vectors: Tensor): Tensor => {
    const axes = normalizeAxes('cosineSimilarity', vectors.shape, [axis]);
    return div(vectors, maximum(norm(vectors, { axes, keepAxes: true }), epsilon));
  };
  return sum(mul(unit(left), unit(right)), { axes: [axis] });
}
