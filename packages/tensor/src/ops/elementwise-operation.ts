/** Operations that are one formula over operands broadcast to a common shape. */
import type { GradientRule } from '../autograd.ts';
import { mapOperands } from '../evaluate.ts';
import type { Formula } from '../formula.ts';
import type { Shape } from '../shape.ts';
import { type Domain, defineOperation, type Operation } from './define.ts';

export const none = {} as const;
export type None = typeof none;

export const unaryShapes: readonly Shape[][] = [[[2, 3]], [[]], [[7]], [[0]], [[3, 1, 5]], [[1]]];
export const binaryShapes: readonly Shape[][] = [
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
export const ternaryShapes: readonly Shape[][] = [
  [
    [2, 3],
    [2, 3],
    [2, 3],
  ],
  [[4, 1], [3], []],
  [[], [5], [2, 1]],
  [[1], [1], [1]],
  [[0, 3], [3], [1]],
];

interface Elementwise<Attributes> {
  readonly name: string;
  readonly formula: Formula | ((attributes: Attributes) => Formula);
  readonly gradient: readonly GradientRule<Attributes>[] | 'none';
  readonly shapes: readonly Shape[][];
  readonly domains?: readonly Domain[];
  /** Each is tried with every shape. */
  readonly attributes: readonly Attributes[];
}

export function elementwiseWith<Attributes>({
  name,
  formula,
  gradient,
  shapes,
  domains = [],
  attributes: tried,
}: Elementwise<Attributes>): Operation<Attributes> {
  const formulaFor = typeof formula === 'function' ? formula : () => formula;
  return defineOperation<Attributes>({
    name,
    forward: (operands, attributes) => ({ output: mapOperands(name, formulaFor(attributes), operands) }),
    gradient,
    examples: tried.flatMap((attributes) => shapes.map((of) => ({ shapes: of, attributes, domains }))),
  });
}

export function elementwise(definition: Omit<Elementwise<None>, 'attributes'>): Operation<None> {
  return elementwiseWith<None>({ ...definition, attributes: [none] });
}
