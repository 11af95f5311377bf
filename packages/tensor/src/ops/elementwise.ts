/** Arithmetic on each element by itself, with PyTorch's broadcasting: `[a, 1, c] and [b, c] -> [a, b, c]`. */
import type { GradientRule } from '../autograd.ts';
import type { Operand } from '../evaluate.ts';
import { log32 } from '../float32.ts';
import { apply, constant, input } from '../formula.ts';
import type { Tensor } from '../tensor.ts';
import { equal, greater, greaterEqual, less, lessEqual, where } from './compare.ts';
import { binaryShapes, elementwise, elementwiseWith, type None, none, unaryShapes } from './elementwise-operation.ts';

const [x, y] = [input(0), input(1)];

export const addOperation = elementwise({
  name: 'add',
  formula: apply('add', x, y),
  gradient: [(gradient) => gradient, (gradient) => gradient],
  shapes: binaryShapes,
});

export const subOperation = elementwise({
  name: 'sub',
  formula: apply('sub', x, y),
  gradient: [(gradient) => gradient, (gradient) => neg(gradient)],
  shapes: binaryShapes,
});

export const mulOperation = elementwise({
  name: 'mul',
  formula: apply('mul', x, y),
  gradient: [
    (gradient, { operands }) => mul(gradient, operands[1]!),
    (gradient, { operands }) => mul(gradient, operands[0]!),
  ],
  shapes: binaryShapes,
});

export const divOperation = elementwise({
  name: 'div',
  formula: apply('div', x, y),
  gradient: [
    (gradient, { operands }) => div(gradient, operands[1]!),
    (gradient, { operands, output }) => neg(div(mul(gradient, output), operands[1]!)),
  ],
  shapes: binaryShapes,
  domains: ['any', 'away from zero'],
});

export const negOperation = elementwise({
  name: 'neg',
  formula: apply('neg', x),
  gradient: [(gradient) => neg(gradient)],
  shapes: unaryShapes,
});

export const expOperation = elementwise({
  name: 'exp',
  formula: apply('exp', x),
  gradient: [(gradient, { output }) => mul(gradient, output)],
  shapes: unaryShapes,
});

export const logOperation = elementwise({
  name: 'log',
  formula: apply('log', x),
  gradient: [(gradient, { operands }) => div(gradient, operands[0]!)],
  shapes: unaryShapes,
  domains: ['positive'],
});

export const sqrtOperation = elementwise({
  name: 'sqrt',
  formula: apply('sqrt', x),
  gradient: [(gradient, { output }) => div(gradient, mul(output, 2))],
  shapes: unaryShapes,
  domains: ['positive'],
});

export const absOperation = elementwise({
  name: 'abs',
  formula: apply('abs', x),
  gradient: [(gradient, { operands }) => mul(gradient, sub(greater(operands[0]!, 0), less(operands[0]!, 0)))],
  shapes: unaryShapes,
  domains: ['away from zero'],
});

export const powOperation = elementwise({
  name: 'pow',
  formula: apply('pow', x, y),
  gradient: [
    (gradient, { operands: [base, exponent] }) => {
      if (exponent === 0) return mul(gradient, 0);
      if (typeof exponent === 'number') return mul(gradient, mul(exponent, pow(base!, exponent - 1)));
      return where(equal(exponent!, 0), 0, mul(gradient, mul(exponent!, pow(base!, sub(exponent!, 1)))));
    },
    (gradient, { operands: [base, exponent], output }) => {
      const constantBase = typeof base === 'number';
      const logarithm = constantBase ? log32(Math.fround(base)) : log(base!);
      const isZero = constantBase ? Number(base === 0) : equal(base!, 0);
      // A power of 0 does not move with its exponent, although log(0) is infinite.
      const still = mul(isZero, greaterEqual(exponent!, 0));
      return where(still, 0, mul(gradient, mul(output, logarithm)));
    },
  ],
  shapes: binaryShapes,
  domains: ['positive', 'any'],
});

/** The gradient of what chooses between two operands; where they are equal, each gets half, as in PyTorch. */
function chosen(isChosen: (own: Operand, other: Operand) => Tensor): readonly GradientRule<None>[] {
  const share =
    (own: 0 | 1): GradientRule<None> =>
    (gradient, { operands }) => {
      const [mine, other] = [operands[own]!, operands[1 - own]!];
      return where(equal(mine, other), mul(gradient, 0.5), where(isChosen(mine, other), gradient, 0));
    };
  return [share(0), share(1)];
}

export const maximumOperation = elementwise({
  name: 'maximum',
  formula: apply('maximum', x, y),
  gradient: chosen(greater),
  shapes: binaryShapes,
  domains: ['on tenths', 'between tenths'],
});

export const minimumOperation = elementwise({
  name: 'minimum',
  formula: apply('minimum', x, y),
  gradient: chosen(less),
  shapes: binaryShapes,
  domains: ['on tenths', 'between tenths'],
});

interface Bounds {
  readonly low?: number;
  readonly high?: number;
}

export const clampOperation = elementwiseWith<Bounds>({
  name: 'clamp',
  formula: ({ low, high }) => {
    const above = low === undefined ? x : apply('maximum', x, constant(low));
    return high === undefined ? above : apply('minimum', above, constant(high));
  },
  gradient: [
    (gradient, { operands, attributes: { low, high } }) => {
      const above = low === undefined ? gradient : where(greaterEqual(operands[0]!, low), gradient, 0);
      return high === undefined ? above : where(lessEqual(operands[0]!, high), above, 0);
    },
  ],
  shapes: unaryShapes,
  domains: ['between tenths'],
  attributes: [{ low: -0.5, high: 0.3 }, { low: 0 }, { high: 0.2 }],
});

export const elementwiseOperations = [
  addOperation,
  subOperation,
  mulOperation,
  divOperation,
  negOperation,
  expOperation,
  logOperation,
  sqrtOperation,
  absOperation,
  powOperation,
  maximumOperation,
  minimumOperation,
  clampOperation,
] as const;

/** `x + y`. A number stands for a constant, here and below. */
export function add(left: Operand, right: Operand): Tensor {
  return addOperation.apply([left, right], none);
}

/** `x - y`. */
export function sub(left: Operand, right: Operand): Tensor {
  return subOperation.apply([left, right], none);
}

/** `x y`. */
export function mul(left: Operand, right: Operand): Tensor {
  return mulOperation.apply([left, right], none);
}

/** `x / y`. */
export function div(left: Operand, right: Operand): Tensor {
  return divOperation.apply([left, right], none);
}

/** `-x`. */
export function neg(operand: Tensor): Tensor {
  return negOperation.apply([operand], none);
}

/** `e^x`, within 1 ulp. */
export function exp(operand: Tensor): Tensor {
  return expOperation.apply([operand], none);
}

/** Natural logarithm, within 1 ulp; -infinity at 0, NaN below. */
export function log(operand: Tensor): Tensor {
  return logOperation.apply([operand], none);
}

/** Square root, correctly rounded; NaN below 0. */
export function sqrt(operand: Tensor): Tensor {
  return sqrtOperation.apply([operand], none);
}

/** `|x|`; its derivative at 0 is 0. */
export function abs(operand: Tensor): Tensor {
  return absOperation.apply([operand], none);
}

/** `x^y`, within 1 ulp, with the limits of C's pow; the derivative by y where the power is 0 is 0. */
export function pow(base: Operand, exponent: Operand): Tensor {
  return powOperation.apply([base, exponent], none);
}

/** The larger; NaN where either is. Where both are equal each gets half of the gradient. */
export function maximum(left: Operand, right: Operand): Tensor {
  return maximumOperation.apply([left, right], none);
}

/** The smaller; NaN where either is. Where both are equal each gets half of the gradient. */
export function minimum(left: Operand, right: Operand): Tensor {
  return minimumOperation.apply([left, right], none);
}

/** `min(max(x, low), high)`; a bound left out does not bound. The derivative is 1 at the bounds and between, else 0. */
export function clamp(operand: Tensor, bounds: Bounds): Tensor {
  return clampOperation.apply([operand], bounds);
}
