/** Operations on each element by itself, with PyTorch's broadcasting: `[a, 1, c] and [b, c] -> [a, b, c]`. */
import type { GradientRule } from '../autograd.ts';
import { mapOperands, type Operand } from '../evaluate.ts';
import { apply, constant, type Formula, input } from '../formula.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type Domain, defineOperation, type Operation } from './define.ts';

const none = {} as const;
type None = typeof none;

const unaryShapes: readonly Shape[][] = [[[2, 3]], [[]], [[7]], [[0]], [[3, 1, 5]], [[1]]];
const binaryShapes: readonly Shape[][] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[], []],
  [[5], []],
  [[], [3, 3]],
  [[4, 3], [3]],
  [[4, 1], [3]],
  [
    [2, 1, 3],
    [5, 1],
  ],
  [[0, 3], [3]],
  [[1], [1]],
  [[17], [17]],
];

interface Elementwise {
  readonly name: string;
  readonly formula: Formula;
  readonly gradient: readonly GradientRule<None>[] | 'none';
  readonly shapes: readonly Shape[][];
  readonly domains?: readonly Domain[];
}

function elementwise({ name, formula, gradient, shapes, domains = [] }: Elementwise): Operation<None> {
  return defineOperation<None>({
    name,
    forward: (operands) => ({ output: mapOperands(name, formula, operands) }),
    gradient,
    examples: shapes.map((of) => ({ shapes: of, attributes: none, domains })),
  });
}

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

export const equalOperation = elementwise({
  name: 'equal',
  formula: apply('equal', x, y),
  gradient: 'none',
  shapes: binaryShapes,
  domains: ['class index', 'class index'],
});

export const elementwiseOperations = [
  addOperation,
  subOperation,
  mulOperation,
  divOperation,
  negOperation,
  expOperation,
  logOperation,
  reluOperation,
  gateOperation,
  equalOperation,
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

/** `max(x, 0)`; its derivative at 0 is 0. */
export function relu(operand: Tensor): Tensor {
  return reluOperation.apply([operand], none);
}

/** 1 where the operands are equal, else 0; not differentiable. */
export function equal(left: Operand, right: Operand): Tensor {
  return equalOperation.apply([left, right], none);
}
