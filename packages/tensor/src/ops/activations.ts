/** The nonlinear functions between layers, each element by itself. */
import { apply, constant, input } from '../formula.ts';
import type { Tensor } from '../tensor.ts';
import { greater, where } from './compare.ts';
import { add, exp, mul, sub } from './elementwise.ts';
import { binaryShapes, elementwise, elementwiseWith, none, unaryShapes } from './elementwise-operation.ts';

const [x, y] = [input(0), input(1)];

export const reluOperation = elementwise({
  name: 'relu',
  formula: apply('maximum', x, constant(0)),
  gradient: [(gradient, { output }) => gateOperation.apply([gradient, output], none)],
  shapes: unaryShapes,
  domains: ['away from zero'],
});

/** `gate(x, y)`: x where y > 0 or is NaN, else 0; the gradient of relu. */
const gateOperation = elementwise({
  name: 'gate',
  formula: apply('where', apply('greaterEqual', constant(0), y), constant(0), x),
  gradient: [
    (gradient, { operands }) => gateOperation.apply([gradient, operands[1]!], none),
    (gradient) => mul(gradient, 0),
  ],
  shapes: binaryShapes,
  domains: ['any', 'away from zero'],
});

export const leakyReluOperation = elementwiseWith<{ readonly slope: number }>({
  name: 'leakyRelu',
  formula: ({ slope }) => apply('where', apply('greater', x, constant(0)), x, apply('mul', x, constant(slope))),
  gradient: [
    (gradient, { operands, attributes: { slope } }) => where(greater(operands[0]!, 0), gradient, mul(gradient, slope)),
  ],
  shapes: unaryShapes,
  domains: ['away from zero'],
  attributes: [{ slope: 0.01 }, { slope: 0 }],
});

export const tanhOperation = elementwise({
  name: 'tanh',
  formula: apply('tanh', x),
  gradient: [(gradient, { output }) => mul(gradient, sub(1, mul(output, output)))],
  shapes: unaryShapes,
});

export const sigmoidOperation = elementwise({
  name: 'sigmoid',
  formula: apply('sigmoid', x),
  gradient: [(gradient, { output }) => mul(gradient, mul(output, sub(1, output)))],
  shapes: unaryShapes,
});

export const softplusOperation = elementwise({
  name: 'softplus',
  formula: apply('softplus', x),
  gradient: [(gradient, { operands }) => mul(gradient, sigmoid(operands[0] as Tensor))],
  shapes: unaryShapes,
});

export const normalCdfOperation = elementwise({
  name: 'normalCdf',
  formula: apply('normalCdf', x),
  gradient: [(gradient, { operands }) => mul(gradient, normalPdf(operands[0] as Tensor))],
  shapes: unaryShapes,
});

/** `exp(-x^2 / 2) / sqrt(2 pi)`. */
function normalPdf(operand: Tensor): Tensor {
  return mul(exp(mul(mul(operand, operand), -0.5)), 0.3989422804014327);
}

export const geluOperation = elementwise({
  name: 'gelu',
  formula: apply('mul', x, apply('normalCdf', x)),
  gradient: [
    (gradient, { operands }) => {
      const at = operands[0] as Tensor;
      return mul(gradient, add(normalCdf(at), mul(at, normalPdf(at))));
    },
  ],
  shapes: unaryShapes,
});

const [geluScale, geluCube] = [2 * 0.7978845608028654, 0.044715];

/** `2 sqrt(2 / pi) (x + 0.044715 x^3)`: `(1 + tanh(u / 2)) / 2` is `sigmoid(u)`, which loses nothing where tanh nears -1. */
const geluArgument = apply(
  'mul',
  apply('mul', x, constant(geluScale)),
  apply('add', constant(1), apply('mul', apply('mul', x, x), constant(geluCube))),
);

export const geluTanhOperation = elementwise({
  name: 'geluTanh',
  formula: apply('mul', x, apply('sigmoid', geluArgument)),
  gradient: [
    (gradient, { operands }) => {
      const at = operands[0] as Tensor;
      const squared = mul(at, at);
      const gate = sigmoid(mul(mul(at, geluScale), add(1, mul(squared, geluCube))));
      const slope = mul(geluScale, add(1, mul(squared, 3 * geluCube)));
      return mul(gradient, add(gate, mul(mul(at, slope), mul(gate, sub(1, gate)))));
    },
  ],
  shapes: unaryShapes,
});

export const activationOperations = [
  reluOperation,
  gateOperation,
  leakyReluOperation,
  tanhOperation,
  sigmoidOperation,
  softplusOperation,
  normalCdfOperation,
  geluOperation,
  geluTanhOperation,
] as const;

/** `max(x, 0)`; its derivative at 0 is 0. */
export function relu(operand: Tensor): Tensor {
  return reluOperation.apply([operand], none);
}

/** x where x > 0, else `slope x`; the slope, 0.01 where left out, is also the derivative at 0. */
export function leakyRelu(operand: Tensor, slope = 0.01): Tensor {
  return leakyReluOperation.apply([operand], { slope });
}

/** Hyperbolic tangent, within 1 ulp. */
export function tanh(operand: Tensor): Tensor {
  return tanhOperation.apply([operand], none);
}

/** `1 / (1 + e^-x)`, within 1 ulp; safe for any x. */
export function sigmoid(operand: Tensor): Tensor {
  return sigmoidOperation.apply([operand], none);
}

/** `log(1 + e^x)`, within 1 ulp; safe for any x. */
export function softplus(operand: Tensor): Tensor {
  return softplusOperation.apply([operand], none);
}

/** The standard normal distribution function `(1 + erf(x / sqrt(2))) / 2`, within 1 ulp. */
export function normalCdf(operand: Tensor): Tensor {
  return normalCdfOperation.apply([operand], none);
}

/**
 * `x normalCdf(x)`; with `approximate: 'tanh'`, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
 * (Hendrycks and Gimpel, "Gaussian error linear units").
 */
export function gelu(operand: Tensor, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor {
  const operation = options.approximate === 'tanh' ? geluTanhOperation : geluOperation;
  return operation.apply([operand], none);
}
