/** What an op is: a function of tensors that records its own gradient. */
import { type OpResult, record } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import type { Formula } from '../formula.ts';
import type { Tensor } from '../tensor.ts';

export interface Op<Parameters extends unknown[]> {
  (...parameters: Parameters): Tensor;
  readonly opName: string;
}

/** An op of any form. `compute` checks shapes, computes the output and says how gradients come back. */
export function defineOp<Parameters extends unknown[]>(
  opName: string,
  compute: (...parameters: Parameters) => OpResult,
): Op<Parameters> {
  return Object.assign((...parameters: Parameters) => record(opName, compute(...parameters)), { opName });
}

interface UnaryDefinition {
  readonly name: string;
  readonly formula: (x: Formula) => Formula;
  /** The operand's gradient, given that of the output `y`. */
  readonly gradient: (gradient: Tensor, x: Tensor, y: Tensor) => Tensor;
}

/** An op that is one formula of each element of one tensor. */
export function unary({ name, formula, gradient }: UnaryDefinition): Op<[x: Tensor]> {
  return defineOp(name, (x: Tensor): OpResult => {
    const output = mapOperands(name, formula, [x]);
    return { output, operands: [x], gradient: [(outputGradient) => gradient(outputGradient, x, output)] };
  });
}

type BinaryGradient = (gradient: Tensor, x: Operand, y: Operand, output: Tensor) => Tensor;

interface BinaryDefinition {
  readonly name: string;
  readonly formula: (x: Formula, y: Formula) => Formula;
  /** The gradients of x and y, given that of the output; left out without a useful derivative. */
  readonly gradient?: readonly [BinaryGradient, BinaryGradient];
}

/** An op that is one formula of two operands, broadcast to a common shape; numbers are constants. */
export function binary({ name, formula, gradient }: BinaryDefinition): Op<[x: Operand, y: Operand]> {
  return defineOp(name, (x: Operand, y: Operand): OpResult => {
    const operands = [x, y];
    const output = mapOperands(name, formula, operands);
    if (gradient === undefined) return { output, operands };
    return { output, operands, gradient: gradient.map((rule) => (of: Tensor) => rule(of, x, y, output)) };
  });
}
