/** Matrix products. */
import type { MatmulBatch } from '../backend.ts';
import { commonBackend, runCall } from '../evaluate.ts';
import { broadcastShapes, broadcastStrides, formatShape, type Shape, ShapeError, sizeOf } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { defineOperation, type Example, type Operation } from './define.ts';

export interface MatmulOptions {
  /** Reads the left operand, stored as [k, m], as [m, k]. */
  readonly transposeLeft?: boolean;
  /** Reads the right operand, stored as [n, k], as [k, n]. */
  readonly transposeRight?: boolean;
  /**
   * Cuts k into so many equal runs, sums each alone and adds the runs' sums in pairs (`Microbatches` in backend.ts). For two
   * matrices of which the left one alone is transposed. One where left out.
   */
  readonly microbatches?: number;
}

const sizes: readonly [number, number, number][] = [
  [3, 4, 5],
  [1, 1, 1],
  [7, 1, 9],
  [1, 13, 1],
  [0, 3, 2],
  [3, 0, 2],
  [2, 3, 0],
];
const batchedExamples: readonly Example<MatmulOptions>[] = [
  {
    shapes: [
      [2, 3, 4],
      [2, 4, 5],
    ],
    attributes: {},
  },
  {
    shapes: [
      [2, 3, 4],
      [4, 2],
    ],
    attributes: {},
  },
  {
    shapes: [
      [2, 3, 4],
      [2, 4],
    ],
    attributes: { transposeRight: true },
  },
  {
    shapes: [
      [3, 4],
      [2, 4, 5],
    ],
    attributes: {},
  },
  {
    shapes: [
      [2, 1, 4, 3],
      [3, 5, 4],
    ],
    attributes: { transposeLeft: true, transposeRight: true },
  },
  {
    shapes: [
      [2, 4, 3],
      [4, 5],
    ],
    attributes: { transposeLeft: true },
  },
  {
    shapes: [
      [1, 3, 2],
      [2, 2, 3],
    ],
    attributes: {},
  },
  {
    shapes: [
      [0, 3, 4],
      [4, 5],
    ],
    attributes: {},
  },
  {
    shapes: [
      [0, 3, 4],
      [1, 4, 5],
    ],
    attributes: {},
  },
];

const matrixExamples: readonly Example<MatmulOptions>[] = [false, true].flatMap((transposeLeft) =>
  [false, true].flatMap((transposeRight) =>
    sizes.map(([m, k, n]) => ({
      shapes: [transposeLeft ? [k, m] : [m, k], transposeRight ? [n, k] : [k, n]],
      attributes: { transposeLeft, transposeRight },
    })),
  ),
);

const microbatchExamples: readonly Example<MatmulOptions>[] = [
  [6, 3, 5, 2],
  [7, 9, 8, 7],
  [12, 5, 4, 3],
  [0, 3, 2, 3],
].map(([k, m, n, microbatches]) => ({
  shapes: [
    [k!, m!],
    [k!, n!],
  ],
  attributes: { transposeLeft: true, microbatches: microbatches! },
}));

export const matmulOperation: Operation<MatmulOptions> = defineOperation<MatmulOptions>({
  name: 'matmul',
  forward(operands, { transposeLeft = false, transposeRight = false, microbatches }) {
    const [left, right] = operands as [Tensor, Tensor];
    const [rows, k] = matrixSizes(left, transposeLeft);
    const [inner, n] = matrixSizes(right, transposeRight);
    if (k !== inner) {
      const shapes = `${describe(left, transposeLeft)} x ${describe(right, transposeRight)}`;
      throw new ShapeError(`matmul: ${shapes}: inner sizes ${k} and ${inner} differ`);
    }
    const backend = commonBackend('matmul', operands);
    const batchShape = broadcastShapes('matmul, batch axes', [left.shape.slice(0, -2), right.shape.slice(0, -2)]);
    const output = emptyTensor(backend, [...batchShape, rows, n]);
    // Rows of many matrices with one right operand are the rows of one matrix.
    const joined = sizeOf(right.shape.slice(0, -2)) === 1 && !transposeLeft;
    const cuttable = batchShape.length === 0 && transposeLeft && !transposeRight && k % (microbatches ?? 1) === 0;
    if (microbatches !== undefined && !cuttable) {
      const shapes = `${describe(left, transposeLeft)} x ${describe(right, transposeRight)}`;
      throw new ShapeError(
        `matmul: expected [k, m]ᵀ x [k, n] with k in ${microbatches} equal microbatches, got ${shapes}`,
      );
    }
    const m = joined ? rows * sizeOf(batchShape) : rows;
    runCall(backend, {
      kind: 'matmul',
      m,
      k,
      n,
      left: left.storage,
      right: right.storage,
      transposeLeft,
      transposeRight,
      output: output.storage,
      ...(joined || batchShape.length === 0 ? {} : { batch: batchOf(left, right, batchShape) }),
      ...(microbatches === undefined ? {} : { microbatches }),
    });
    return { output };
  },
  sumsMicrobatches: true,
  gradient: [
    (gradient, { operands, attributes: { transposeLeft = false, transposeRight = false } }) => {
      const [left, right] = operands as [Tensor, Tensor];
      if (left.microbatches !== undefined && gradient.shape.length === 2) {
        throw new Error('matmul: a gradient is summed per microbatch for the right operand, not for the left one');
      }
      return transposeLeft
        ? matmul(right, gradient, { transposeLeft: transposeRight, transposeRight: true })
        : matmul(gradient, right, { transposeRight: !transposeRight });
    },
    (gradient, { operands, attributes: { transposeLeft = false, transposeRight = false } }) => {
      const [left, right] = operands as [Tensor, Tensor];
      const shared = right.shape.length === 2 && !transposeLeft;
      const [rows, slopes] = shared ? [asMatrix(left), asMatrix(gradient)] : [left, gradient];
      const perMicrobatch = right.microbatches === undefined ? {} : { microbatches: right.microbatches };
      return transposeRight
        ? matmul(slopes, rows, { transposeLeft: true, transposeRight: transposeLeft, ...perMicrobatch })
        : matmul(rows, slopes, { transposeLeft: !transposeLeft, ...perMicrobatch });
    },
  ],
  examples: [...matrixExamples, ...batchedExamples, ...microbatchExamples],
});

function matrixSizes(operand: Tensor, transposed: boolean): [number, number] {
  if (operand.shape.length < 2) {
    throw new ShapeError(`matmul: expected matrices with at least two axes, got ${formatShape(operand.shape)}`);
  }
  const [rows, columns] = operand.shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

/** All rows of a batch of matrices as those of one. */
function asMatrix(operand: Tensor): Tensor {
  if (operand.shape.length === 2) return operand;
  return reshape(operand, [sizeOf(operand.shape.slice(0, -1)), operand.shape.at(-1)!]);
}

function batchOf(left: Tensor, right: Tensor, shape: Shape): MatmulBatch {
  const stridesOf = (operand: Tensor): number[] => {
    const matrix = sizeOf(operand.shape.slice(-2));
    return broadcastStrides(operand.shape.slice(0, -2), shape).map((stride) => stride * matrix);
  };
  return { shape, leftStrides: stridesOf(left), rightStrides: stridesOf(right) };
}

function describe(operand: Tensor, transposed: boolean): string {
  return formatShape(operand.shape) + (transposed ? 'ᵀ' : '');
}

/**
 * `[m, k] x [k, n] -> [m, n]`, and so for each matrix of a batch, whose axes come first and broadcast:
 * `[a, 1, m, k] x [b, k, n] -> [a, b, m, n]`. As in PyTorch, an operand with one axis is a row on the left, a column on
 * the right, and that axis is left out of the result: `[k] x [k] -> []`.
 * A row of the result has the same bits whatever the other rows are.
 */
export function matmul(left: Tensor, right: Tensor, options: MatmulOptions = {}): Tensor {
  const [isRow, isColumn] = [left.shape.length === 1, right.shape.length === 1];
  if (!isRow && !isColumn) return matmulOperation.apply([left, right], options);
  const k = left.shape.at(isRow || !options.transposeLeft ? -1 : -2);
  const inner = right.shape.at(isColumn || options.transposeRight ? -1 : -2);
  if (k === undefined || k !== inner) {
    const sizes = `inner sizes ${k ?? 'of a scalar'} and ${inner ?? 'of a scalar'} differ`;
    throw new ShapeError(`matmul: ${formatShape(left.shape)} x ${formatShape(right.shape)}: ${sizes}`);
  }
  const rows = isRow ? reshape(left, [1, left.size]) : left;
  const columns = isColumn ? reshape(right, [right.size, 1]) : right;
  const product = matmulOperation.apply([rows, columns], {
    transposeLeft: !isRow && options.transposeLeft === true,
    transposeRight: !isColumn && options.transposeRight === true,
  });
  const batch = product.shape.slice(0, -2);
  const [m, n] = product.shape.slice(-2) as [number, number];
  return reshape(product, [...batch, ...(isRow ? [] : [m]), ...(isColumn ? [] : [n])]);
}

export const matmulOperations = [matmulOperation] as const;
