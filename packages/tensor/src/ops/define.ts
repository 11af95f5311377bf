/** What an op is: a function of tensors that records its own gradient. */
import { type OpResult, record } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import { apply, type Formula, type Primitive } from '../formula.ts';
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

/** An op's name and its formula, left out where that is the primitive of the name. */
type Named =
  | { readonly name: Primitive; readonly formula?: undefined }
  | { readonly name: string; readonly formula: (x: Formula, y: Formula) => Formula };

function mapNamed({ name, formula }: Named, operands: readonly Operand[]): Tensor {
  return mapOperands(name, formula ?? ((...inputs) => apply(name, ...inputs)), operands);
}

type UnaryDefinition = Named & {
  /** The operand's gradient, given that of the output `y`. */
  readonly gradient: (gradient: Tensor, x: Tensor, y: Tensor) => Tensor;
};

/** An op that is one formula of each element of one tensor. */
export function unary(definition: UnaryDefinition): Op<[x: Tensor]> {
  return defineOp(definition.name, (x: Tensor): OpResult => {
    const output = mapNamed(definition, [x]);
    return { output, operands: [x], gradient: [(g) => definition.gradient(g, x, output)] };
  });
}

type BinaryGradient = (gradient: Tensor, x: Operand, y: Operand, output: Tensor) => Tensor;

type BinaryDefinition = Named & {
  /** The gradients of x and y, given that of the output; left out without a useful derivative. */
  readonly gradient?: readonly [BinaryGradient, BinaryGradient];
};

/** An op that is one formula of two operands, broadcast to a common shape; numbers are constants. */
export function binary(definition: BinaryDefinition): Op<[x: Operand, y: Operand]> {
  return defineOp(definition.name, (x: Operand, y: Operand): OpResult => {
    const operands = [x, y];
    const output = mapNamed(definition, operands);
    if (definition.gradient === undefined) return { output, operands };
    return { output, operands, gradient: definition.gradient.map((rule) => (g: Tensor) => rule(g, x, y, output)) };
  });
}
