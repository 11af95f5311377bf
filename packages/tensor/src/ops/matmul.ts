/** Matrix products. */
import { commonBackend, runCall } from '../evaluate.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { defineOperation, type Example } from './define.ts';

export interface MatmulOptions {
  /** Reads the left operand, stored as [k, m], as [m, k]. */
  readonly transposeLeft?: boolean;
  /** Reads the right operand, stored as [n, k], as [k, n]. */
  readonly transposeRight?: boolean;
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
const examples: readonly Example<MatmulOptions>[] = [false, true].flatMap((transposeLeft) =>
  [false, true].flatMap((transposeRight) =>
    sizes.map(([m, k, n]) => ({
      shapes: [transposeLeft ? [k, m] : [m, k], transposeRight ? [n, k] : [k, n]],
      attributes: { transposeLeft, transposeRight },
    })),
  ),
);

export const matmulOperation = defineOperation<MatmulOptions>({
  name: 'matmul',
  forward(operands, { transposeLeft = false, transposeRight = false }) {
    const [left, right] = operands as [Tensor, Tensor];
    const [m, k] = matrixSizes(left, transposeLeft);
    const [inner, n] = matrixSizes(right, transposeRight);
    if (k !== inner) {
      const shapes = `${describe(left, transposeLeft)} x ${describe(right, transposeRight)}`;
      throw new ShapeError(`matmul: ${shapes}: inner sizes ${k} and ${inner} differ`);
    }
    const backend = commonBackend('matmul', operands);
    const output = emptyTensor(backend, [m, n]);
    const { storage } = output;
    runCall(backend, {
      kind: 'matmul',
      m,
      k,
      n,
      left: left.storage,
      right: right.storage,
      transposeLeft,
      transposeRight,
      output: storage,
    });
    return { output };
  },
  gradient: [
    (gradient, { operands, attributes: { transposeLeft = false, transposeRight = false } }) =>
      transposeLeft
        ? matmul(operands[1] as Tensor, gradient, { transposeLeft: transposeRight, transposeRight: true })
        : matmul(gradient, operands[1] as Tensor, { transposeRight: !transposeRight }),
    (gradient, { operands, attributes: { transposeLeft = false, transposeRight = false } }) =>
      transposeRight
        ? matmul(gradient, operands[0] as Tensor, { transposeLeft: true, transposeRight: transposeLeft })
        : matmul(operands[0] as Tensor, gradient, { transposeLeft: !transposeLeft }),
  ],
  examples,
});

function matrixSizes(operand: Tensor, transposed: boolean): [number, number] {
  if (operand.shape.length !== 2) {
    throw new ShapeError(`matmul: expected matrices with two axes, got ${formatShape(operand.shape)}`);
  }
  const [rows, columns] = operand.shape as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

function describe(operand: Tensor, transposed: boolean): string {
  return formatShape(operand.shape) + (transposed ? 'ᵀ' : '');
}

/** `[m, k] x [k, n] -> [m, n]`. A row of the result has the same bits whatever the other rows are. */
export function matmul(left: Tensor, right: Tensor, options: MatmulOptions = {}): Tensor {
  return matmulOperation.apply([left, right], options);
}

export const matmulOperations = [matmulOperation] as const;
