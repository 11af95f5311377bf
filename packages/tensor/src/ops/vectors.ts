/** Lengths and angles of vectors. */
import { noGrad, type OpResult } from '../autograd.ts';
import { normalizeAxes, reducedShape, unexpectedShapes } from '../shape.ts';
import { type Tensor, tidy } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal, where } from './compare.ts';
import { defineOp } from './define.ts';
import { div, maximum, mul, sqrt } from './elementwise.ts';
import { type ReduceOptions, sum } from './reduce.ts';

/** Euclidean length `sqrt(sum(x^2))` along axes, all where left out; its derivative at 0 is 0. */
export const norm = defineOp('norm', (x: Tensor, options: ReduceOptions = {}): OpResult => {
  const output = noGrad(() => tidy(() => sqrt(sum(mul(x, x), options))));
  const gradient = (g: Tensor): Tensor => {
    const kept = reducedShape(x.shape, normalizeAxes('norm', x.shape, options.axes), true);
    const length = reshape(output, kept);
    return mul(where(equal(length, 0), 0, div(x, length)), reshape(g, kept));
  };
  return { output, operands: [x], gradient: [gradient] };
});

/** Sum of the products of two vectors of equal length: `[n], [n] -> []`. */
export function dot(left: Tensor, right: Tensor): Tensor {
  if (left.shape.length !== 1 || right.shape.length !== 1 || left.size !== right.size) {
    throw unexpectedShapes('dot: expected two vectors of equal length', left.shape, right.shape);
  }
  return sum(mul(left, right));
}

/**
 * Cosine of the angle between vectors along an axis, `x . y / (|x| |y|)`: `[n, d], [n, d] -> [n]`.
 * A length that is divided by is at least `epsilon`.
 */
export function cosineSimilarity(
  left: Tensor,
  right: Tensor,
  { axis = -1, epsilon = 1e-8 }: { axis?: number; epsilon?: number } = {},
): Tensor {
  const lengthOf = (vectors: Tensor): Tensor => maximum(norm(vectors, { axes: [axis] }), epsilon);
  return div(sum(mul(left, right), { axes: [axis] }), mul(lengthOf(left), lengthOf(right)));
}
