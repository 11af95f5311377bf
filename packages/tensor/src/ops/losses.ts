/** Loss functions. */
import { checkOptions, oneOf } from '../arguments.ts';
import { sameShape, sizeOf, unexpectedShapes } from '../shape.ts';
import { checkTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { softmaxCrossEntropy } from './classify.ts';
import { mul, neg, sub } from './elementwise.ts';
import { mean, sum } from './reduce.ts';
import { logSoftmax } from './softmax.ts';

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
