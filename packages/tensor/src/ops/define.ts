/** Defines ops: functions of tensors that record their own gradients. */
import { type OpResult, record } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import { apply, type Formula, type Primitive } from '../formula.ts';
import type { Tensor } from '../tensor.ts';

export interface Op<Parameters extends unknown[]> {
  (...parameters: Parameters): Tensor;
  readonly opName: string;
}

/** Defines any op. `compute` checks shapes, computes the output and returns the gradient rules. */
export function defineOp<Parameters extends unknown[]>(
  opName: string,
  compute: (...parameters: Parameters) => OpResult,
): Op<Parameters> {
  return Object.assign((...parameters: Parameters) => record(opName, compute(...parameters)), { opName });
}

/** An op's name and formula; by default, the formula is the primitive with the op's name. */
type Named =
  | { readonly name: Primitive; readonly formula?: undefined }
  | { readonly name: string; readonly formula: (x: Formula, y: Formula) => Formula };

function mapNamed({ name, formula }: Named, operands: readonly Operand[]): Tensor {
  return mapOperands(name, formula ?? ((...inputs) => apply(name, ...inputs)), operands);
}

type UnaryDefinition = Named & {
  /** Computes the gradient of `x` from the gradient of the output `y`. */
  readonly gradient: (gradient: Tensor, x: Tensor, y: Tensor) => Tensor;
};

/** Defines an op that applies one formula to each element of a tensor. */
export function unary(definition: UnaryDefinition): Op<[x: Tensor]> {
  return defineOp(definition.name, (x: Tensor): OpResult => {
    const output = mapNamed(definition, [x]);
    return { output, operands: [x], gradient: [(g) => definition.gradient(g, x, output)] };
  });
}

type BinaryGradient = (gradient: Tensor, x: Operand, y: Operand, output: Tensor) => Tensor;

type BinaryDefinition = Named & {
  /** Computes the gradients of x and y from the gradient of the output; omitted if there is no useful derivative. */
  readonly gradient?: readonly [BinaryGradient, BinaryGradient];
};

/** Defines an op that applies one formula to two operands, broadcast to a common shape; numbers are constants. */
export function binary(definition: BinaryDefinition): Op<[x: Operand, y: Operand]> {
  return defineOp(definition.name, (x: Operand, y: Operand): OpResult => {
    const operands = [x, y];
    const output = mapNamed(definition, operands);
    if (definition.gradient === undefined) return { output, operands };
    return { output, operands, gradient: definition.gradient.map((rule) => (g: Tensor) => rule(g, x, y, output)) };
  });
}
