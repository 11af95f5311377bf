/** Softmax and its logarithm along one axis. */
import { noGrad } from '../autograd.ts';
import { normalizeAxes } from '../shape.ts';
import { type Tensor, tidy } from '../tensor.ts';
import { defineOperation, type Example } from './define.ts';
import { div, exp, log, mul, sub } from './elementwise.ts';
import { max, sum } from './reduce.ts';

export interface SoftmaxOptions {
  /** Counted from the end where negative; the last where left out. */
  readonly axis?: number;
  /** Divides the values first: towards 0 the largest takes all, large ones make all equal. 1 where left out. */
  readonly temperature?: number;
}

interface Attributes {
  readonly axis: number;
  readonly temperature: number;
}

const examples: readonly Example<Attributes>[] = [
  { shapes: [[5]], attributes: { axis: 0, temperature: 1 } },
  { shapes: [[4, 10]], attributes: { axis: 1, temperature: 1 } },
  { shapes: [[4, 10]], attributes: { axis: 0, temperature: 0.5 } },
  { shapes: [[2, 3, 5]], attributes: { axis: 1, temperature: 2 } },
  { shapes: [[3, 17]], attributes: { axis: 1, temperature: 0.7 } },
  { shapes: [[1]], attributes: { axis: 0, temperature: 1 } },
  { shapes: [[0, 4]], attributes: { axis: 1, temperature: 1 } },
];

/** `(x - max(x)) / temperature`, none of which is above 0. */
function shifted(operand: Tensor, { axis, temperature }: Attributes): Tensor {
  const difference = sub(operand, max(operand, { axes: [axis], keepAxes: true }));
  return temperature === 1 ? difference : div(difference, temperature);
}

export const softmaxOperation = defineOperation<Attributes>({
  name: 'softmax',
  forward: ([operand], attributes) => ({
    output: noGrad(() =>
      tidy(() => {
        const powers = exp(shifted(operand as Tensor, attributes));
        return div(powers, sum(powers, { axes: [attributes.axis], keepAxes: true }));
      }),
    ),
  }),
  gradient: [
    (gradient, { output, attributes: { axis, temperature } }) => {
      const weighted = sum(mul(gradient, output), { axes: [axis], keepAxes: true });
      return div(mul(output, sub(gradient, weighted)), temperature);
    },
  ],
  examples,
});

export const logSoftmaxOperation = defineOperation<Attributes>({
  name: 'logSoftmax',
  forward: ([operand], attributes) => ({
    output: noGrad(() =>
      tidy(() => {
        const differences = shifted(operand as Tensor, attributes);
        return sub(differences, log(sum(exp(differences), { axes: [attributes.axis], keepAxes: true })));
      }),
    ),
  }),
  gradient: [
    (gradient, { output, attributes: { axis, temperature } }) => {
      const total = sum(gradient, { axes: [axis], keepAxes: true });
      return div(sub(gradient, mul(exp(output), total)), temperature);
    },
  ],
  examples,
});

function attributesOf(operation: string, operand: Tensor, { axis = -1, temperature = 1 }: SoftmaxOptions): Attributes {
  if (!(temperature > 0)) {
    throw new RangeError(`${operation}: the temperature must be above 0, got ${temperature}`);
  }
  const [at] = normalizeAxes(operation, operand.shape, [axis]) as [number];
  return { axis: at, temperature };
}

/**
 * `exp(x / temperature)` over its sum along an axis, so that they sum to 1; computed from `x - max(x)`, safe for any
 * finite x: `[rows, classes] -> [rows, classes]`.
 */
export function softmax(operand: Tensor, options: SoftmaxOptions = {}): Tensor {
  return softmaxOperation.apply([operand], attributesOf('softmax', operand, options));
}

/** `log(softmax(x))`, finite where softmax itself would round to 0. */
export function logSoftmax(operand: Tensor, options: SoftmaxOptions = {}): Tensor {
  return logSoftmaxOperation.apply([operand], attributesOf('logSoftmax', operand, options));
}

export const softmaxOperations = [softmaxOperation, logSoftmaxOperation] as const;
