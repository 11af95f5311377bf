/** Losses: how far predictions are from what they should be. */
import { formatShape, ShapeError, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { softmaxCrossEntropy } from './classify.ts';
import { mul, neg, sub } from './elementwise.ts';
import { mean, sum } from './reduce.ts';
import { logSoftmax } from './softmax.ts';

/** The mean of the samples' losses, which is the default, their sum, or each loss. */
export interface LossOptions {
  readonly reduction?: 'mean' | 'sum' | 'none';
}

function reduced(losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  switch (reduction) {
    case 'mean':
      return mean(losses);
    case 'sum':
      return sum(losses);
    case 'none':
      return losses;
    default:
      return reduction satisfies never;
  }
}

/**
 * Cross-entropy of softmax(logits) along the last axis: `-log(softmax(logits)[target])` for class indices
 * `[..., classes], [...] -> [...]`, `-sum(target * log(softmax(logits)))` for probabilities of the logits' shape; then
 * reduced to one value, unless `reduction` is `none`.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  const { shape } = logits;
  if (shape.length > 0 && sameShape(targets.shape, shape)) {
    return reduced(neg(sum(mul(targets, logSoftmax(logits)), { axes: [-1] })), options);
  }
  if (shape.length === 0 || !sameShape(targets.shape, shape.slice(0, -1))) {
    throw new ShapeError(
      `crossEntropy: expected logits [..., classes] with class indices [...] or probabilities [..., classes], got ${formatShape(shape)} and ${formatShape(targets.shape)}`,
    );
  }
  const rows = sizeOf(targets.shape);
  const losses = softmaxCrossEntropy(reshape(logits, [rows, shape.at(-1)!]), reshape(targets, [rows]));
  return reduced(reshape(losses, targets.shape), options);
}

/** Squared difference of predictions and targets, which have one shape; reduced to the mean by default. */
export function mse(predictions: Tensor, targets: Tensor, options: LossOptions = {}): Tensor {
  if (!sameShape(predictions.shape, targets.shape)) {
    throw new ShapeError(
      `mse: predictions and targets must have one shape, got ${formatShape(predictions.shape)} and ${formatShape(targets.shape)}`,
    );
  }
  const difference = sub(predictions, targets);
  return reduced(mul(difference, difference), options);
}
