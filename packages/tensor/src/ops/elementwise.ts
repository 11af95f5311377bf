/** Elementwise arithmetic with PyTorch's broadcasting: `[a, 1, c] and [b, c] -> [a, b, c]`. */
import { checkOptions, number } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import { log32 } from '../float32.ts';
import { apply, type Formula } from '../formula.ts';
import type { Tensor } from '../tensor.ts';
import { equal, greater, greaterEqual, less, lessEqual, where } from './compare.ts';
import { binary, defineOp, type Op, unary } from './define.ts';

/** `x + y`. In all ops of this file a number is a constant. */
export const add = binary({ name: 'add', gradient: [(g) => g, (g) => g] });

/** `x - y`. */
export const sub = binary({ name: 'sub', gradient: [(g) => g, (g) => neg(g)] });

/** `x y`. */
export const mul = binary({ name: 'mul', gradient: [(g, _, y) => mul(g, y), (g, x) => mul(g, x)] });

/** `x / y`. */
export const div = binary({
  name: 'div',
  gradient: [(g, _, y) => div(g, y), (g, _, y, quotient) => neg(div(mul(g, quotient), y))],
});

/** `-x`. */
export const neg = unary({ name: 'neg', gradient: (g) => neg(g) });

/** `e^x`, within 1 ulp. */
export const exp = unary({ name: 'exp', gradient: (g, _, y) => mul(g, y) });

/** Natural logarithm, within 1 ulp; -infinity at 0, NaN below. */
export const log = unary({ name: 'log', gradient: (g, x) => div(g, x) });

/** Square root, correctly rounded; NaN below 0. */
export const sqrt = unary({ name: 'sqrt', gradient: (g, _, y) => div(g, mul(y, 2)) });

/** `|x|`; its derivative at 0 is 0. */
export const abs = unary({ name: 'abs', gradient: (g, x) => mul(g, sub(greater(x, 0), less(x, 0))) });

/** `x^y`, within 1 ulp, with C's special cases; its derivative by y is 0 if x = 0 and y >= 0. */
export const pow = binary({
  name: 'pow',
  gradient: [
    (g, x, y) => {
      if (y === 0) return mul(g, 0);
      if (typeof y === 'number') return mul(g, mul(y, pow(x, y - 1)));
      return where(equal(y, 0), 0, mul(g, mul(y, pow(x, sub(y, 1)))));
    },
    (g, x, y, power) => {
      const [logarithm, isZero] =
        typeof x === 'number' ? [log32(Math.fround(x)), Number(x === 0)] : [log(x), equal(x, 0)];
      // 0^y is constant in y, although log(0) is infinite.
      return where(mul(isZero, greaterEqual(y, 0)), 0, mul(g, mul(power, logarithm)));
    },
  ],
});

/** Defines an op that picks one operand by comparison. Equal operands get half of the gradient each, as in PyTorch. */
function chosen(name: 'maximum' | 'minimum', compare: typeof greater): Op<[x: Operand, y: Operand]> {
  const share = (g: Tensor, own: Operand, other: Operand): Tensor =>
    where(equal(own, other), mul(g, 0.5), where(compare(own, other), g, 0));
  return binary({ name, gradient: [share, (g, x, y) => share(g, y, x)] });
}

/** The larger operand; NaN if either is NaN. Equal operands get half of the gradient each. */
export const maximum = chosen('maximum', greater);

/** The smaller operand; NaN if either is NaN. Equal operands get half of the gradient each. */
export const minimum = chosen('minimum', less);

/**
 * `min(max(x, low), high)`, each bound optional.
 * Its derivative is 1 within the bounds, bounds included, else 0.
 */
export const clamp = defineOp('clamp', (x: Tensor, bounds: { low?: number; high?: number }): OpResult => {
  checkOptions('clamp', bounds, { low: number, high: number });
  const { low, high } = bounds;
  const formula = (value: Formula): Formula => {
    const above = low === undefined ? value : apply('maximum', value, low);
    return high === undefined ? above : apply('minimum', above, high);
  };
  const gradient = (g: Tensor): Tensor => {
    const above = low === undefined ? g : where(greaterEqual(x, low), g, 0);
    return high === undefined ? above : where(lessEqual(x, high), above, 0);
  };
  return { output: mapOperands('clamp', formula, [x]), operands: [x], gradient: [gradient] };
});
