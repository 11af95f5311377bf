/** Softmax, losses, and what they say of classes. */
import { boolean, checkOptions, type Kind, number, oneOf } from '../arguments.ts';
import { commonBackend, computed, defineOp, noGrad, type OpResult, runCall } from '../autograd.ts';
import { normalizeAxes, sameShape, sizeOf, unexpectedShapes } from '../shape.ts';
import { checkTensor, emptyTensor, type Tensor, tidy } from '../tensor.ts';
import { reshape, transpose } from './arrange.ts';
import { div, equal, exp, log, mul, neg, sub } from './elementwise.ts';
import { argmax, max, mean, type ReduceOptions, sum } from './reduce.ts';

/** Axis and temperature of a softmax. */
export interface SoftmaxOptions {
  /** A negative axis counts from the end; by default the last. */
  readonly axis?: number;
  /** Divides the values: near 0 the largest value takes all, at high temperatures all become equal. 1 by default. */
  readonly temperature?: number;
}

/** Options of `softmax` alone. */
export interface CausalSoftmaxOptions extends SoftmaxOptions {
  /**
   * Masks the scores of attention, [..., queries, keys]: the last query sees all keys, the one before it all but the
   * last key, and so on. Masked results are 0. Only along the last axis; false by default.
   */
  readonly causal?: boolean;
}

/**
 * `exp(x / temperature)` divided by its sum along an axis: `[rows, classes] -> [rows, classes]`.
 * Computed from `x - max(x)`, which is safe for any finite x. The bits of a row depend only on its visible values.
 */
export const softmax = defineOp('softmax', (x: Tensor, options: CausalSoftmaxOptions = {}): OpResult => {
  const { axis, temperature } = resolve('softmax', x, options, { causal: boolean });
  const { backend, shape } = x;
  const isLast = axis === shape.length - 1;
  const [queries, columns] = [shape.at(-2) ?? 0, shape[axis]!];
  if (options.causal && !(isLast && shape.length > 1 && queries <= columns)) {
    const expected = 'scores [..., queries, keys] with no more queries than keys, along the last axis';
    throw unexpectedShapes(`softmax: expected causal ${expected}`, shape);
  }
  const period = options.causal ? { period: queries } : {};
  const sizes = { rows: sizeOf(shape.toSpliced(axis, 1)), columns, temperature, ...period };
  /** Makes the axis the last one, or moves it back. */
  const turned = (tensor: Tensor): Tensor => (isLast ? tensor : transpose(tensor, axis, -1));
  const output = withoutGraph(() => {
    const rows = turned(x);
    const input = rows.storage;
    return turned(computed(backend, rows.shape, (output) => ({ kind: 'softmax', ...sizes, input, output })));
  });
  const gradient = (g: Tensor): Tensor => {
    const rows = turned(g);
    const storages = { gradient: rows.storage, probabilities: turned(output).storage };
    return turned(
      computed(backend, rows.shape, (output) => ({ kind: 'softmaxGradient', ...sizes, ...storages, output })),
    );
  };
  return { output, operands: [x], gradient: [gradient] };
});

/** `log(softmax(x))`; finite even if softmax itself would round to 0. */
export const logSoftmax = defineOp('logSoftmax', (x: Tensor, options: SoftmaxOptions = {}): OpResult => {
  const { axis, temperature } = resolve('logSoftmax', x, options);
  const along = { axes: [axis], keepAxes: true };
  const output = withoutGraph(() => {
    const differences = shifted(x, along, temperature);
    return sub(differences, log(sum(exp(differences), along)));
  });
  const gradient = (g: Tensor): Tensor => div(sub(g, mul(exp(output), sum(g, along))), temperature);
  return { output, operands: [x], gradient: [gradient] };
});

function resolve(operation: string, x: Tensor, options: SoftmaxOptions, others: Readonly<Record<string, Kind>> = {}) {
  checkTensor(operation, 'x', x);
  checkOptions(operation, options, { axis: number, temperature: number, ...others });
  const { axis = -1, temperature = 1 } = options;
  if (!(temperature > 0)) {
    throw new RangeError(`${operation}: the temperature must be above 0, got ${temperature}`);
  }
  return { axis: normalizeAxes(operation, x.shape, [axis])[0]!, temperature };
}

/** `(x - max(x)) / temperature`, which is never above 0. */
function shifted(x: Tensor, along: ReduceOptions, temperature: number): Tensor {
  const difference = sub(x, max(x, along));
  return temperature === 1 ? difference : div(difference, temperature);
}

/**
 * Normalizes the last axis to mean 0 and variance 1.
 * Computes `(x - mean) / sqrt(variance + epsilon)`, with epsilon 1e-5 by default. Weight and bias of layer normalization
 * are a `mul` and an `add` after it. A row's bits do not depend on the other rows.
 */
export const layerNorm = defineOp('layerNorm', (x: Tensor, options: { readonly epsilon?: number } = {}): OpResult => {
  checkTensor('layerNorm', 'x', x);
  checkOptions('layerNorm', options, { epsilon: number });
  const { epsilon = 1e-5 } = options;
  const { backend, shape } = x;
  if (shape.length === 0) throw unexpectedShapes('layerNorm: expected at least one axis', shape);
  const sizes = { rows: sizeOf(shape.slice(0, -1)), columns: shape.at(-1)! };
  const output = emptyTensor(backend, shape);
  const deviations = emptyTensor(backend, [sizes.rows]);
  const written = { output: output.storage, inverseDeviations: deviations.storage };
  runCall(backend, { kind: 'layerNorm', ...sizes, epsilon, input: x.storage, ...written });
  const gradient = ({ storage }: Tensor): Tensor => {
    const read = { gradient: storage, normalized: output.storage, inverseDeviations: deviations.storage };
    return computed(backend, shape, (output) => ({ kind: 'layerNormGradient', ...sizes, ...read, output }));
  };
  return { output, operands: [x], gradient: [gradient] };
});

function withoutGraph(body: () => Tensor): Tensor {
  return noGrad(() => tidy(body));
}

/** How the samples' losses are reduced: to their mean (the default), to their sum, or not at all. */
export interface LossOptions {
  readonly reduction?: 'mean' | 'sum' | 'none';
}

function checkLoss(operation: string, predictions: Tensor, targets: Tensor, options: LossOptions): void {
  checkTensor(operation, operation === 'mse' ? 'predictions' : 'logits', predictions);
  checkTensor(operation, 'targets', targets);
  checkOptions(operation, options, { reduction: oneOf('mean', 'sum', 'none') });
}

function reduced(losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  if (reduction === 'none') return losses;
  return reduction === 'sum' ? sum(losses) : mean(losses);
}

/**
 * Cross-entropy of softmax(logits) along the last axis, reduced unless `reduction` is `none`.
 * It is `-log(softmax(logits)[target])` for class indices `[..., classes], [...] -> [...]`, and `-sum(target *
 * log(softmax(logits)))` for probabilities of the logits' shape.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  checkLoss('crossEntropy', logits, targets, options);
  const { shape } = logits;
  if (shape.length > 0 && sameShape(targets.shape, shape)) {
    return reduced(neg(sum(mul(targets, logSoftmax(logits)), { axes: [-1] })), options);
  }
  if (shape.length === 0 || !sameShape(targets.shape, shape.slice(0, -1))) {
    const expected = 'logits [..., classes] with class indices [...] or probabilities [..., classes]';
    throw unexpectedShapes(`crossEntropy: expected ${expected}`, shape, targets.shape);
  }
  const rows = sizeOf(targets.shape);
  const losses = softmaxCrossEntropy(reshape(logits, [rows, shape.at(-1)!]), reshape(targets, [rows]));
  return reduced(reshape(losses, targets.shape), options);
}

/**
 * Squared difference between predictions and targets, reduced to the mean by default.
 * Predictions and targets must have the same shape.
 */
export function mse(predictions: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  checkLoss('mse', predictions, targets, options);
  if (!sameShape(predictions.shape, targets.shape)) {
    throw unexpectedShapes('mse: predictions and targets must have one shape', predictions.shape, targets.shape);
  }
  const difference = sub(predictions, targets);
  return reduced(mul(difference, difference), options);
}

/**
 * Cross-entropy between each row's softmax and its label: `[rows, classes], [rows] -> [rows]`.
 * The loss is `log(sum(exp(z))) - z[label]` with `z = logits - max(row)`; safe for finite logits. The gradient with
 * respect to the logits, `softmax - onehot(label)`, is computed in the same pass. A label outside [0, classes) makes
 * its row NaN.
 */
export const softmaxCrossEntropy = defineOp('softmaxCrossEntropy', (logits: Tensor, labels: Tensor): OpResult => {
  const [rows, classes] = checkClassification('softmaxCrossEntropy', logits, labels);
  const backend = commonBackend('softmaxCrossEntropy', [logits, labels]);
  const output = emptyTensor(backend, [rows]);
  const logitsGradient = emptyTensor(backend, [rows, classes]);
  runCall(backend, {
    kind: 'crossEntropy',
    rows,
    classes,
    logits: logits.storage,
    labels: labels.storage,
    losses: output.storage,
    gradient: logitsGradient.storage,
  });
  return {
    output,
    operands: [logits, labels],
    gradient: [
      (g) => mul(logitsGradient, reshape(g, [rows, 1])),
      () => {
        throw new Error('softmaxCrossEntropy: labels are class indices and have no gradient');
      },
    ],
  };
});

/** 1 for a row whose first largest logit is at its label, else 0: `[rows, classes], [rows] -> [rows]`. */
export function correct(logits: Tensor, labels: Tensor): Tensor {
  checkClassification('correct', logits, labels);
  return equal(argmax(logits, 1), labels);
}

function checkClassification(operation: string, logits: Tensor, labels: Tensor): [number, number] {
  checkTensor(operation, 'logits', logits);
  checkTensor(operation, 'labels', labels);
  const [rows, classes] = logits.shape;
  if (logits.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== rows || classes === 0) {
    throw unexpectedShapes(
      `${operation}: expected logits [rows, classes] and labels [rows]`,
      logits.shape,
      labels.shape,
    );
  }
  return [rows!, classes!];
}
