/** Lengths and angles of vectors. */
import { noGrad } from '../autograd.ts';
import { formatShape, normalizeAxes, reducedShape, ShapeError } from '../shape.ts';
import { type Tensor, tidy } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal, where } from './compare.ts';
import { defineOperation } from './define.ts';
import { div, maximum, mul, sqrt } from './elementwise.ts';
import { type ReduceOptions, sum } from './reduce.ts';

export const normOperation = defineOperation<ReduceOptions>({
  name: 'norm',
  forward: ([operand], options) => ({
    output: noGrad(() => tidy(() => sqrt(sum(mul(operand!, operand!), options)))),
  }),
  gradient: [
    (gradient, { operands: [operand], output, attributes }) => {
      const source = operand as Tensor;
      const kept = reducedShape(source.shape, normalizeAxes('norm', source.shape, attributes.axes), true);
      const length = reshape(output, kept);
      const direction = where(equal(length, 0), 0, div(source, length));
      return mul(direction, reshape(gradient, kept));
    },
  ],
  examples: [
    { shapes: [[5]], attributes: {} },
    { shapes: [[4, 3]], attributes: { axes: [1] } },
    { shapes: [[4, 3]], attributes: { axes: [0], keepAxes: true } },
    { shapes: [[2, 3, 4]], attributes: { axes: [0, 2] } },
    { shapes: [[0, 3]], attributes: { axes: [1] } },
    { shapes: [[1]], attributes: {} },
  ].map((example) => ({ ...example, domains: ['away from zero'] })),
});

/** Euclidean length `sqrt(sum(x^2))` along axes, all where left out; its derivative at 0 is 0. */
export function norm(operand: Tensor, options: ReduceOptions = {}): Tensor {
  return normOperation.apply([operand], options);
}

/** Sum of the products of two vectors of equal length: `[n], [n] -> []`. */
export function dot(left: Tensor, right: Tensor): Tensor {
  if (left.shape.length !== 1 || right.shape.length !== 1 || left.size !== right.size) {
    throw new ShapeError(
      `dot: expected two vectors of equal length, got ${formatShape(left.shape)} and ${formatShape(right.shape)}`,
    );
  }
  return sum(mul(left, right));
}

export interface CosineOptions {
  /** The last where left out. */
  readonly axis?: number;
  /** Smallest length that is divided by; 1e-8 where left out. */
  readonly epsilon?: number;
}

/** Cosine of the angle between vectors along an axis, `x . y / (|x| |y|)`: `[n, d], [n, d] -> [n]`; others broadcast. */
export function cosineSimilarity(left: Tensor, right: Tensor, options: CosineOptions = {}): Tensor {
  const { axis = -1, epsilon = 1e-8 } = options;
  const lengthOf = (vectors: Tensor): Tensor => maximum(norm(vectors, { axes: [axis] }), epsilon);
  return div(sum(mul(left, right), { axes: [axis] }), mul(lengthOf(left), lengthOf(right)));
}

export const vectorOperations = [normOperation] as const;
