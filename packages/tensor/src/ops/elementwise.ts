/** Elementwise ops: each is one formula and its derivatives. */
import { checkArgument, checkOptions, number, oneOf } from '../arguments.ts';
import { binary, defineOp, mapOperands, type Op, type Operand, type OpResult, unary } from '../autograd.ts';
import { apply, type Formula, log32 } from '../formula.ts';
import type { Tensor } from '../tensor.ts';

/** 1 if the operands are equal, else 0; NaN equals nothing. A number is a constant. */
export const equal = binary({ name: 'equal' });

/** 1 if the operands differ, else 0; NaN differs from everything. */
export const notEqual = binary({ name: 'notEqual', formula: (x, y) => apply('sub', 1, apply('equal', x, y)) });

/** 1 if `x > y`, else 0; 0 if either is NaN. */
export const greater = binary({ name: 'greater' });

/** 1 if `x >= y`, else 0; 0 if either is NaN. */
export const greaterEqual = binary({ name: 'greaterEqual' });

/** 1 if `x < y`, else 0; 0 if either is NaN. */
export const less = binary({ name: 'less', formula: (x, y) => apply('greater', y, x) });

/** 1 if `x <= y`, else 0; 0 if either is NaN. */
export const lessEqual = binary({ name: 'lessEqual', formula: (x, y) => apply('greaterEqual', y, x) });

/**
 * `whenTrue` if the condition is not 0 (NaN is not 0), else `whenFalse`.
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

/** `max(x, 0)`; its derivative at 0 is 0. */
export const relu = unary({
  name: 'relu',
  formula: (x) => apply('maximum', x, 0),
  gradient: (g, _, y) => reluGrad(g, y),
});

/** `reluGrad(x, y)`: x if y > 0 or y is NaN, else 0; the gradient of relu, whose output is y. */
export const reluGrad = binary({
  name: 'reluGrad',
  formula: (x, y) => apply('where', apply('greaterEqual', 0, y), 0, x),
  gradient: [(g, _, y) => reluGrad(g, y), (g) => mul(g, 0)],
});

/** x if x > 0, else `slope x`; the slope, 0.01 by default, is also the derivative at 0. */
export const leakyRelu = defineOp('leakyRelu', (x: Tensor, slope: number = 0.01): OpResult => {
  checkArgument('leakyRelu', 'the slope', slope, number);
  const formula = (value: Formula): Formula =>
    apply('where', apply('greater', value, 0), value, apply('mul', value, slope));
  return {
    output: mapOperands('leakyRelu', formula, [x]),
    operands: [x],
    gradient: [(g) => where(greater(x, 0), g, mul(g, slope))],
  };
});

/** `x / (1 + |x|)`, whose derivative is `1 / (1 + |x|)^2`; NaN at infinity, as in PyTorch. */
export const softsign = unary({
  name: 'softsign',
  formula: (x) => apply('div', x, apply('add', 1, apply('abs', x))),
  gradient: (g, x) => {
    const denominator = add(1, abs(x));
    return div(div(g, denominator), denominator);
  },
});

/** Hyperbolic tangent, within 3 ulp. */
export const tanh = unary({ name: 'tanh', gradient: (g, _, y) => mul(g, sub(1, mul(y, y))) });

/** `1 / (1 + e^-x)`, within 4 ulp; safe for any x. */
export const sigmoid = unary({ name: 'sigmoid', gradient: (g, _, y) => mul(g, mul(y, sub(1, y))) });

/** `log(1 + e^x)`, within 4 ulp; safe for any x. */
export const softplus = unary({ name: 'softplus', gradient: (g, x) => mul(g, sigmoid(x)) });

/** The standard normal distribution function `(1 + erf(x / sqrt(2))) / 2`, within 8 ulp. */
export const normalCdf = unary({ name: 'normalCdf', gradient: (g, x) => mul(g, normalPdf(x)) });

/** `exp(-x^2 / 2) / sqrt(2 pi)`. */
function normalPdf(x: Tensor): Tensor {
  return mul(exp(mul(mul(x, x), -0.5)), 0.3989422804014327);
}

const [geluScale, geluCube] = [2 * 0.7978845608028654, 0.044715];

/**
 * `x normalCdf(x)`; with `approximate: 'tanh'`, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
 * (Hendrycks and Gimpel, "Gaussian error linear units").
 */
export const gelu = defineOp('gelu', (x: Tensor, options: { approximate?: 'none' | 'tanh' } = {}): OpResult => {
  checkOptions('gelu', options, { approximate: oneOf('none', 'tanh') });
  const [formula, derivative] = geluForms[options.approximate ?? 'none'];
  return { output: mapOperands('gelu', formula, [x]), operands: [x], gradient: [(g) => mul(g, derivative(x))] };
});

const geluForms = {
  none: [
    (x: Formula) => apply('mul', x, apply('normalCdf', x)),
    (x: Tensor) => mapOperands('gelu', (value) => apply('geluSlope', value), [x]),
  ],
  tanh: [geluTanh, geluTanhDerivative],
} as const;

/** `x sigmoid(u)` with `u = 2 sqrt(2 / pi) (x + 0.044715 x^3)`: unlike `x (1 + tanh(u / 2)) / 2`, it never cancels. */
function geluTanh(x: Formula): Formula {
  const u = apply('mul', apply('mul', x, geluScale), apply('add', 1, apply('mul', apply('mul', x, x), geluCube)));
  return apply('mul', x, apply('sigmoid', u));
}

/** `s + x u' s (1 - s)` with `s = sigmoid(u)`. */
function geluTanhDerivative(value: Tensor): Tensor {
  // Outside, the derivative is 0 or 1 in float32, and powers of x would overflow.
  const x = clamp(value, { low: -16, high: 16 });
  const squared = mul(x, x);
  const s = sigmoid(mul(mul(x, geluScale), add(1, mul(squared, geluCube))));
  const slope = mul(geluScale, add(1, mul(squared, 3 * geluCube)));
  return add(s, mul(mul(x, slope), mul(s, sub(1, s))));
}
