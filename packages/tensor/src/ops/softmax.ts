/** Softmax and its logarithm along one axis. */
import { checkOptions, number } from '../arguments.ts';
import { noGrad, type OpResult } from '../autograd.ts';
import { normalizeAxes } from '../shape.ts';
import { checkTensor, type Tensor, tidy } from '../tensor.ts';
import { defineOp } from './define.ts';
import { div, exp, log, mul, sub } from './elementwise.ts';
import { max, type ReduceOptions, sum } from './reduce.ts';

/** Axis and temperature of a softmax. */
export interface SoftmaxOptions {
  /** A negative axis counts from the end; by default the last. */
  readonly axis?: number;
  /** Divides the values: near 0 the largest value takes all, at high temperatures all become equal. 1 by default. */
  readonly temperature?: number;
}

/**
 * `exp(x / temperature)` divided by its sum along an axis: `[rows, classes] -> [rows, classes]`.
 * Computed from `x - max(x)`, which is safe for any finite x.
 */
export const softmax = defineOp('softmax', (x: Tensor, options: SoftmaxOptions = {}): OpResult => {
  const { along, temperature } = resolve('softmax', x, options);
  const output = withoutGraph(() => {
    const powers = exp(shifted(x, along, temperature));
    return div(powers, sum(powers, along));
  });
  const gradient = (g: Tensor): Tensor => div(mul(output, sub(g, sum(mul(g, output), along))), temperature);
  return { output, operands: [x], gradient: [gradient] };
});

/** `log(softmax(x))`; finite even if softmax itself would round to 0. */
export const logSoftmax = defineOp('logSoftmax', (x: Tensor, options: SoftmaxOptions = {}): OpResult => {
  const { along, temperature } = resolve('logSoftmax', x, options);
  const output = withoutGraph(() => {
    const differences = shifted(x, along, temperature);
    return sub(differences, log(sum(exp(differences), along)));
  });
  const gradient = (g: Tensor): Tensor => div(sub(g, mul(exp(output), sum(g, along))), temperature);
  return { output, operands: [x], gradient: [gradient] };
});

function resolve(operation: string, x: Tensor, options: SoftmaxOptions) {
  checkTensor(operation, 'x', x);
  checkOptions(operation, options, { axis: number, temperature: number });
  const { axis = -1, temperature = 1 } = options;
  if (!(temperature > 0)) {
    throw new RangeError(`${operation}: the temperature must be above 0, got ${temperature}`);
  }
  return { along: { axes: normalizeAxes(operation, x.shape, [axis]), keepAxes: true }, temperature };
}

/** `(x - max(x)) / temperature`, which is never above 0. */
function shifted(x: Tensor, along: ReduceOptions, temperature: number): Tensor {
  const difference = sub(x, max(x, along));
  return temperature === 1 ? difference : div(difference, temperature);
}

function withoutGraph(body: () => Tensor): Tensor {
  return noGrad(() => tidy(body));
}
