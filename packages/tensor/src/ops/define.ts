/** What an operation is: its forward computation, its gradient and the examples it is tested on, in one value. */
import { type GradientRule, record } from '../autograd.ts';
import type { Operand } from '../evaluate.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Where an operand of an example may lie, so that finite differences make sense there. */
export type Domain =
  | 'any'
  | 'positive'
  | 'away from zero'
  | 'class index'
  | 'on tenths'
  | 'between tenths'
  | 'distinct';

/** One call that the suites make: every backend must agree on it, and its gradient must match finite differences. */
export interface Example<Attributes> {
  readonly shapes: readonly Shape[];
  readonly attributes: Attributes;
  /** One per operand; `any` where left out. */
  readonly domains?: readonly Domain[];
}

export interface ForwardResult {
  readonly output: Tensor;
  readonly saved?: readonly Tensor[];
}

export interface OperationDefinition<Attributes> {
  readonly name: string;
  /** Checks shapes and computes. */
  forward(operands: readonly Operand[], attributes: Attributes): ForwardResult;
  /** One rule per operand, or one for any operand of many, or `none` where the operation has no useful derivative. */
  readonly gradient: readonly GradientRule<Attributes>[] | ((position: number) => GradientRule<Attributes>) | 'none';
  /** Whether the rules sum over samples in the operand's `microbatches` by themselves; without it, only un-broadcasting does. */
  readonly sumsMicrobatches?: boolean;
  readonly examples: readonly Example<Attributes>[];
}

/** An example bound to its operation and attributes. */
export interface TableExample {
  readonly shapes: readonly Shape[];
  readonly attributes: unknown;
  readonly domains: readonly Domain[];
  apply(operands: readonly Operand[]): Tensor;
}

/** What the suites see of an operation. */
export interface TableEntry {
  readonly name: string;
  readonly differentiable: boolean;
  readonly table: readonly TableExample[];
}

/** An operation that can be applied: computes, and records itself for the gradient. */
export interface Operation<Attributes> extends TableEntry {
  apply(operands: readonly Operand[], attributes: Attributes): Tensor;
}

export function defineOperation<Attributes>(definition: OperationDefinition<Attributes>): Operation<Attributes> {
  const { name, gradient } = definition;
  const applyOperation = (operands: readonly Operand[], attributes: Attributes): Tensor => {
    const { output, saved = [] } = definition.forward(operands, attributes);
    if (gradient !== 'none') {
      const ofOperand = typeof gradient === 'function' ? operands.map((_, position) => gradient(position)) : gradient;
      const rules = { ofOperand, sumsMicrobatches: definition.sumsMicrobatches ?? false };
      record(name, rules, { operands, output, saved, attributes });
    }
    return output;
  };
  return {
    name,
    differentiable: gradient !== 'none',
    table: definition.examples.map(({ shapes, attributes, domains = [] }) => ({
      shapes,
      attributes,
      domains,
      apply: (operands) => applyOperation(operands, attributes),
    })),
    apply: applyOperation,
  };
}
