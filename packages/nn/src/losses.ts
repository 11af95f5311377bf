/** Loss functions, one for each role of targets, and the weights of classes. */
import type { TargetField } from '@lockstep/data';
import {
  correct,
  fromArray,
  indexSelect,
  mean,
  mul,
  reshape,
  type SumOptions,
  softmaxCrossEntropy,
  sub,
  sum,
  type Tensor,
  zeros,
} from '@lockstep/tensor';

interface Loss {
  /** Returns the loss of each sample: outputs of the model [samples, outputs], targets -> [samples]. */
  each(outputs: Tensor, targets: Tensor): Tensor;
  /** Returns the number of correctly classified samples; 0 if targets are values. */
  correct(outputs: Tensor, targets: Tensor, options: SumOptions): Tensor;
}

/** The loss for each role of targets: `losses.value.each(outputs, targets)`. */
export const losses = {
  /** Softmax cross-entropy, as in `torch.nn.CrossEntropyLoss`: `-log(softmax(outputs)[label])`. */
  index: {
    each: (outputs, labels) => softmaxCrossEntropy(outputs, labels),
    correct: (outputs, labels, options) => sum(correct(outputs, labels), options),
  },
  /** Squared error `sum((output - target)^2) / outputs`; its mean over samples is `torch.nn.MSELoss`. */
  value: {
    each(outputs, targets) {
      const difference = sub(outputs, targets);
      return mean(mul(difference, difference), { axes: [1] });
    },
    correct: (outputs) => zeros(outputs.backend, []),
  },
  /** Mean cross-entropy over positions: outputs [samples, positions, tokens], next tokens [samples, positions]. */
  next: {
    each(outputs, next) {
      const losses = softmaxCrossEntropy(rowsOf(outputs), reshape(next, [next.size]));
      return mean(reshape(losses, next.shape), { axes: [1] });
    },
    correct: (outputs, next, options) => sum(correct(rowsOf(outputs), reshape(next, [next.size])), options),
  },
} satisfies Readonly<Record<TargetField['role'], Loss>>;

function rowsOf(outputs: Tensor): Tensor {
  return reshape(outputs, [-1, outputs.shape.at(-1)!]);
}

/** Returns the loss of each sample in training: times the weight of its class, if classes have weights. */
export function trainingLosses(outputs: Tensor, targets: Tensor, field: TargetField): Tensor {
  const own = losses[field.role].each(outputs, targets);
  if (field.role !== 'index' || !field.classWeights) return own;
  return mul(own, indexSelect(fromArray(outputs.backend, field.classWeights), targets));
}
