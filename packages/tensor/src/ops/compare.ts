/** Comparisons, which return 1 or 0 and have no derivative, and `where`; operands broadcast, numbers are constants. */
import type { OpResult } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import { apply } from '../formula.ts';
import { binary, defineOp } from './define.ts';

/** 1 where the operands are equal, else 0; NaN equals nothing. A number is a constant. */
export const equal = binary({ name: 'equal' });

/** 1 where the operands differ, else 0; NaN differs from everything. */
export const notEqual = binary({ name: 'notEqual', formula: (x, y) => apply('sub', 1, apply('equal', x, y)) });

/** 1 where `x > y`, else 0; 0 if either is NaN. */
export const greater = binary({ name: 'greater' });

/** 1 where `x >= y`, else 0; 0 if either is NaN. */
export const greaterEqual = binary({ name: 'greaterEqual' });

/** 1 where `x < y`, else 0; 0 if either is NaN. */
export const less = binary({ name: 'less', formula: (x, y) => apply('greater', y, x) });

/** 1 where `x <= y`, else 0; 0 if either is NaN. */
export const lessEqual = binary({ name: 'lessEqual', formula: (x, y) => apply('greaterEqual', y, x) });

/**
 * `whenTrue` where the condition is not 0 (NaN is not 0), else `whenFalse`.
 * NaN in the value that is not chosen has no effect.
 */
export const where = defineOp('where', (condition: Operand, whenTrue: Operand, whenFalse: Operand): OpResult => {
  const operands = [condition, whenTrue, whenFalse];
  return {
    output: mapOperands('where', (...chosen) => apply('where', ...chosen), operands),
    operands,
    gradient: [
      () => {
        throw new Error('where: the condition has no gradient; compute it without requiresGrad');
      },
      (g) => where(condition, g, 0),
      (g) => where(condition, 0, g),
    ],
  };
});
