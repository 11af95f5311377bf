/** Lengths and angles of vectors. */
import { checkOptions, number } from '../arguments.ts';
import { noGrad, type OpResult } from '../autograd.ts';
import { normalizeAxes, reducedShape, unexpectedShapes } from '../shape.ts';
import { checkTensor, type Tensor, tidy } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal, greaterEqual, lessEqual, where } from './compare.ts';
import { defineOp } from './define.ts';
import { abs, div, maximum, mul, sqrt } from './elementwise.ts';
import { max, type ReduceOptions, reduceOptions, sum } from './reduce.ts';

/** Beyond these bounds squares may overflow or underflow. Scaling by a power of 2 prevents that, and is exact. */
const [large, small] = [2 ** 48, 2 ** -40];
const [shrink, grow] = [2 ** -100, 2 ** 80];

/**
 * Returns one power of 2 for each vector along the axes, which keep size 1. Scaling the vector by it brings the sum of
 * squares into float32's range. The scale is 1 for most vectors, so that they keep their bits.
 */
function squareScale(x: Tensor, axes: readonly number[]): Tensor {
  return noGrad(() =>
    tidy(() => {
      const largest = max(abs(x), { axes, keepAxes: true });
      return where(greaterEqual(largest, large), shrink, where(lessEqual(largest, small), grow, 1));
    }),
  );
}

/** Euclidean length `sqrt(sum(x^2))` along axes, by default all of them; its derivative at 0 is 0. */
export const norm = defineOp('norm', (x: Tensor, options: ReduceOptions = {}): OpResult => {
  checkTensor('norm', 'x', x);
  checkOptions('norm', options, reduceOptions);
  const axes = normalizeAxes('norm', x.shape, options.axes);
  const kept = reducedShape(x.shape, axes, true);
  const output = noGrad(() =>
    tidy(() => {
      if (axes.some((axis) => x.shape[axis] === 0)) return sum(x, options);
      const scale = squareScale(x, axes);
      const scaled = mul(x, scale);
      const length = div(sqrt(sum(mul(scaled, scaled), { axes, keepAxes: true })), scale);
      return reshape(length, reducedShape(x.shape, axes, options.keepAxes ?? false));
    }),
  );
  const gradient = (g: Tensor): Tensor => {
    const length = reshape(output, kept);
    return mul(where(equal(length, 0), 0, div(x, length)), reshape(g, kept));
  };
  return { output, operands: [x], gradient: [gradient] };
});

/** Sum of the products of two vectors of equal length: `[n], [n] -> []`. */
export function dot(left: Tensor, right: Tensor): Tensor {
  checkTensor('dot', 'the left vector', left);
  checkTensor('dot', 'the right vector', right);
  if (left.shape.length !== 1 || right.shape.length !== 1 || left.size !== right.size) {
    throw unexpectedShapes('dot: expected two vectors of equal length', left.shape, right.shape);
  }
  return sum(mul(left, right));
}

/**
 * Cosine of the angle between vectors along an axis, `x . y / (|x| |y|)`: `[n, d], [n, d] -> [n]`.
 * Each length in the denominator is at least `epsilon`.
 */
export function cosineSimilarity(
  left: Tensor,
  right: Tensor,
  options: { axis?: number; epsilon?: number } = {},
): Tensor {
  checkTensor('cosineSimilarity', 'left', left);
  checkTensor('cosineSimilarity', 'right', right);
  checkOptions('cosineSimilarity', options, { axis: number, epsilon: number });
  const { axis = -1, epsilon = 1e-8 } = options;
  // Normalizing before the product avoids overflow and underflow for vectors of any length.
  const unit = (vectors: Tensor): Tensor => {
    const axes = normalizeAxes('cosineSimilarity', vectors.shape, [axis]);
    return div(vectors, maximum(norm(vectors, { axes, keepAxes: true }), epsilon));
  };
  return sum(mul(unit(left), unit(right)), { axes: [axis] });
}
