/** Comparisons, which give 1 or 0 and have no derivative, and the choice that uses them; broadcasting as elementwise. */
import type { Operand } from '../evaluate.ts';
import { apply, constant, type Formula, input } from '../formula.ts';
import type { Tensor } from '../tensor.ts';
import type { Operation } from './define.ts';
import { binaryShapes, elementwise, type None, none, ternaryShapes } from './elementwise-operation.ts';

const [x, y, z] = [input(0), input(1), input(2)];

function comparison(name: string, formula: Formula): Operation<None> {
  const domains = ['class index', 'class index'] as const;
  return elementwise({ name, formula, gradient: 'none', shapes: binaryShapes, domains });
}

export const equalOperation = comparison('equal', apply('equal', x, y));
export const notEqualOperation = comparison('notEqual', apply('sub', constant(1), apply('equal', x, y)));
export const greaterOperation = comparison('greater', apply('greater', x, y));
export const greaterEqualOperation = comparison('greaterEqual', apply('greaterEqual', x, y));
export const lessOperation = comparison('less', apply('greater', y, x));
export const lessEqualOperation = comparison('lessEqual', apply('greaterEqual', y, x));

export const whereOperation = elementwise({
  name: 'where',
  formula: apply('where', x, y, z),
  gradient: [
    () => {
      throw new Error('where: the condition has no gradient; compute it without requiresGrad');
    },
    (gradient, { operands }) => where(operands[0]!, gradient, 0),
    (gradient, { operands }) => where(operands[0]!, 0, gradient),
  ],
  shapes: ternaryShapes,
  domains: ['class index', 'any', 'any'],
});

export const compareOperations = [
  equalOperation,
  notEqualOperation,
  greaterOperation,
  greaterEqualOperation,
  lessOperation,
  lessEqualOperation,
  whereOperation,
] as const;

/** 1 where the operands are equal, else 0; NaN equals nothing. A number stands for a constant, here and below. */
export function equal(left: Operand, right: Operand): Tensor {
  return equalOperation.apply([left, right], none);
}

/** 1 where the operands differ, else 0; NaN differs from everything. */
export function notEqual(left: Operand, right: Operand): Tensor {
  return notEqualOperation.apply([left, right], none);
}

/** 1 where `x > y`, else 0; 0 where either is NaN. */
export function greater(left: Operand, right: Operand): Tensor {
  return greaterOperation.apply([left, right], none);
}

/** 1 where `x >= y`, else 0; 0 where either is NaN. */
export function greaterEqual(left: Operand, right: Operand): Tensor {
  return greaterEqualOperation.apply([left, right], none);
}

/** 1 where `x < y`, else 0; 0 where either is NaN. */
export function less(left: Operand, right: Operand): Tensor {
  return lessOperation.apply([left, right], none);
}

/** 1 where `x <= y`, else 0; 0 where either is NaN. */
export function lessEqual(left: Operand, right: Operand): Tensor {
  return lessEqualOperation.apply([left, right], none);
}

/** `whenTrue` where the condition is not 0 (NaN is not 0), else `whenFalse`; the other's values, NaN too, have no effect. */
export function where(condition: Operand, whenTrue: Operand, whenFalse: Operand): Tensor {
  return whereOperation.apply([condition, whenTrue, whenFalse], none);
}
