/** Examples of ops as data: shapes, options, and domains of the operands. */
import type { Operand, Shape, Tensor } from '../src/index.ts';
import type { Domain } from './values.ts';

export interface Example {
  /** The shapes of the operands and the options. */
  readonly label: string;
  readonly shapes: readonly Shape[];
  /** One per operand; `any` by default. */
  readonly domains: readonly Domain[];
  compute(operands: readonly Tensor[]): Tensor;
}

export interface Call<Options> {
  readonly options: Options;
  readonly shapes: readonly Shape[];
}

export function call<Options>(options: Options, ...shapes: Shape[]): Call<Options> {
  return { options, shapes };
}

/** Only the first ones exist, one per shape of the call. */
type Operands = [Tensor, Tensor, Tensor, ...Tensor[]];

export function examples<Options>(
  compute: (operands: Operands, options: Options) => Tensor,
  calls: readonly Call<Options>[],
  domains: readonly Domain[] = [],
): Example[] {
  return calls.map(({ options, shapes }) => ({
    label: `${shapes.map((shape) => `[${shape}]`).join(' ')} ${JSON.stringify(options) ?? ''}`,
    shapes,
    domains,
    compute: (operands) => compute(operands as Operands, options),
  }));
}

const unaryShapes = [[2, 3], [], [7], [0], [3, 1, 5], [1]];

export function unary(op: (x: Tensor) => Tensor, domain: Domain = 'any'): Example[] {
  const calls = unaryShapes.map((shape) => call(undefined, shape));
  return examples(([x]) => op(x), calls, [domain]);
}

/** Returns examples for each combination of options and shapes. */
export function unaryWith<Options>(compute: (x: Tensor, options: Options) => Tensor, tried: Options[], domain: Domain) {
  const calls = tried.flatMap((options) => unaryShapes.map((shape) => call(options, shape)));
  return examples(([x], options: Options) => compute(x, options), calls, [domain]);
}

const binaryCalls = [
  call(undefined, [2, 3], [2, 3]),
  call(undefined, [], []),
  call(undefined, [5], []),
  call(undefined, [], [3, 3]),
  call(undefined, [4, 3], [3]),
  call(undefined, [4, 1], [3]),
  call(undefined, [2, 1, 3], [5, 1]),
  call(undefined, [0, 3], [3]),
  call(undefined, [1], [1]),
  call(undefined, [17], [17]),
];

export function binary(op: (x: Operand, y: Operand) => Tensor, domains: readonly Domain[] = []): Example[] {
  return examples(([x, y]) => op(x, y), binaryCalls, domains);
}

export function comparison(op: (x: Operand, y: Operand) => Tensor): Example[] {
  return binary(op, ['class index', 'class index']);
}
