/** Elementwise activation functions. */
import { checkArgument, checkOptions, number, oneOf } from '../arguments.ts';
import type { OpResult } from '../autograd.ts';
import { mapOperands } from '../evaluate.ts';
import { apply, type Formula } from '../formula.ts';
import type { Tensor } from '../tensor.ts';
import { greater, where } from './compare.ts';
import { binary, defineOp, unary } from './define.ts';
import { abs, add, clamp, div, exp, mul, sub } from './elementwise.ts';

/** `max(x, 0)`; its derivative at 0 is 0. */
export const relu = unary({
  name: 'relu',
  formula: (x) => apply('maximum', x, 0),
  gradient: (g, _, y) => reluGrad(g, y),
});

/** `reluGrad(x, y)`: x where y > 0 or y is NaN, else 0; the gradient of relu, whose output is y. */
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

/** Hyperbolic tangent, within 1 ulp. */
export const tanh = unary({ name: 'tanh', gradient: (g, _, y) => mul(g, sub(1, mul(y, y))) });

/** `1 / (1 + e^-x)`, within 1 ulp; safe for any x. */
export const sigmoid = unary({ name: 'sigmoid', gradient: (g, _, y) => mul(g, mul(y, sub(1, y))) });

/** `log(1 + e^x)`, within 1 ulp; safe for any x. */
export const softplus = unary({ name: 'softplus', gradient: (g, x) => mul(g, sigmoid(x)) });

/** The standard normal distribution function `(1 + erf(x / sqrt(2))) / 2`, within 1 ulp. */
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
    (value: Tensor) => {
      const x = withoutTails(value);
      return add(normalCdf(value), mul(x, normalPdf(x)));
    },
  ],
  tanh: [geluTanh, geluTanhDerivative],
} as const;

/** `x sigmoid(u)` with `u = 2 sqrt(2 / pi) (x + 0.044715 x^3)`: unlike `x (1 + tanh(u / 2)) / 2`, it never cancels. */
function geluTanh(x: Formula): Formula {
  const u = apply('mul', apply('mul', x, geluScale), apply('add', 1, apply('mul', apply('mul', x, x), geluCube)));
  return apply('mul', x, apply('sigmoid', u));
}

/** Clamps to [-16, 16]. Outside, gelu's derivative is 0 or 1 in float32, and powers of x would overflow. */
function withoutTails(x: Tensor): Tensor {
  return clamp(x, { low: -16, high: 16 });
}

/** `s + x u' s (1 - s)` with `s = sigmoid(u)`. */
function geluTanhDerivative(value: Tensor): Tensor {
  const x = withoutTails(value);
  const squared = mul(x, x);
  const s = sigmoid(mul(mul(x, geluScale), add(1, mul(squared, geluCube))));
  const slope = mul(geluScale, add(1, mul(squared, 3 * geluCube)));
  return add(s, mul(mul(x, slope), mul(s, sub(1, s))));
}
