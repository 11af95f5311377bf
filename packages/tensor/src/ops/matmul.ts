/** Matrix products. */
import { boolean, checkOptions, number } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import type { MatmulBatch, MatmulCall } from '../backend.ts';
import { commonBackend, computed } from '../evaluate.ts';
import { broadcastShapes, broadcastStrides, formatShape, type Shape, ShapeError, sizeOf } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { defineOp } from './define.ts';

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
    sumsMicrobatches: true,
  };
});

function describe(operand: Tensor, transposed: boolean): string {
  return formatShape(operand.shape) + (transposed ? 'ᵀ' : '');
}

type Transposes = Pick<MatmulCall, 'transposeLeft' | 'transposeRight'>;
type Sizes = Transposes & Pick<MatmulCall, 'm' | 'k' | 'n' | 'microbatches'>;

/** Returns the product, with shape `shape`, of matrices with batch axes `batch`. */
function product(left: Tensor, right: Tensor, sizes: Sizes, batch: Shape, shape: Shape): Tensor {
  // If all matrices of the batch share one right operand, their rows form one tall matrix.
  const joined = sizeOf(right.shape.slice(0, -2)) === 1 && !sizes.transposeLeft;
  return computed(commonBackend('matmul', [left, right]), shape, (output) => ({
    kind: 'matmul',
    ...sizes,
    m: joined ? sizes.m * sizeOf(batch) : sizes.m,
    left: left.storage,
    right: right.storage,
    output,
    ...(joined || batch.length === 0 ? {} : { batch: batchOf(left, right, batch) }),
  }));
}

function batchOf(left: Tensor, right: Tensor, shape: Shape): MatmulBatch {
  const stridesOf = (operand: Tensor): number[] => {
    const matrix = sizeOf(operand.shape.slice(-2));
    return broadcastStrides(operand.shape.slice(0, -2), shape).map((stride) => stride * matrix);
  };
  return { shape, leftStrides: stridesOf(left), rightStrides: stridesOf(right) };
}

/** `g x rightᵀ`, transposed if the left operand is. */
function leftGradient(g: Tensor, left: Tensor, right: Tensor, { transposeLeft, transposeRight }: Transposes): Tensor {
  if (left.microbatches !== undefined && g.shape.length === 2) {
    throw new Error('matmul: a gradient is summed per microbatch for the right operand, not for the left one');
  }
  return transposeLeft
    ? matmul(right, g, { transposeLeft: transposeRight, transposeRight: true })
    : matmul(g, right, { transposeRight: !transposeRight });
}

/** `leftᵀ x g`, transposed if the right operand is. */
function rightGradient(g: Tensor, left: Tensor, right: Tensor, { transposeLeft, transposeRight }: Transposes): Tensor {
  const shared = right.shape.length === 2 && !transposeLeft;
  const [rows, slopes] = shared ? [asMatrix(left), asMatrix(g)] : [left, g];
  const perMicrobatch = right.microbatches === undefined ? {} : { microbatches: right.microbatches };
  return transposeRight
    ? matmul(slopes, rows, { transposeLeft: true, transposeRight: transposeLeft, ...perMicrobatch })
    : matmul(rows, slopes, { transposeLeft: !transposeLeft, ...perMicrobatch });
}

/** Reshapes a batch of matrices to one matrix with all of their rows. */
function asMatrix(operand: Tensor): Tensor {
  const { shape } = operand;
  return shape.length === 2 ? operand : reshape(operand, [sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
}
