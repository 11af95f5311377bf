/** Loss functions, one for each role of targets, and the weights of classes. */
import type { NextField, TargetField } from '@lockstep/data';
import {
  correct,
  crossEntropy,
  div,
  formatShape,
  fromArray,
  indexSelect,
  mean,
  mul,
  notEqual,
  place,
  reshape,
  type SumOptions,
  slice,
  softmaxCrossEntropy,
  sub,
  sum,
  type Tensor,
  where,
  zeros,
} from '@lockstep/tensor';

interface Loss {
  /** Returns the loss of each sample: outputs of the model [samples, outputs], targets -> [samples]. */
  each(outputs: Tensor, targets: Tensor): Tensor;
  /** Returns the number of correctly classified samples; 0 if targets are values. */
  correct(outputs: Tensor, targets: Tensor, options: SumOptions): Tensor;
}

/**
 * Cross-entropy of the next token at each position, summed over the positions that predict one and divided by
 * `positions`; outputs are [samples, positions, tokens]. `correct` counts positions.
 */
function nextLoss({ positions, lines }: NextField): Loss {
  /** Keeps the values of positions that predict a token: in lines, the first and those whose own token is not 0. */
  const predicted = (values: Tensor, targets: Tensor): Tensor => {
    if (!lines) return values;
    const isInLine = notEqual(slice(targets, [{}, { end: -1 }]), 0);
    return where(place(isInLine, targets.shape, [{}, { start: 1 }], 1), values, 0);
  };
  return {
    each(outputs, targets) {
      if (outputs.shape.length !== 3) {
        throw new Error(
          `next tokens: expected outputs [samples, positions, tokens], got ${formatShape(outputs.shape)}`,
        );
      }
      const losses = predicted(crossEntropy(outputs, targets, { reduction: 'none' }), targets);
      return div(sum(losses, { axes: [1] }), positions);
    },
    correct(outputs, targets, options) {
      const rows = correct(reshape(outputs, [targets.size, -1]), reshape(targets, [targets.size]));
      return sum(predicted(reshape(rows, targets.shape), targets), options);
    },
  };
}

/** The loss for each role with one loss for all fields: `losses.value.each(outputs, targets)`. */
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
} satisfies Readonly<Record<Exclude<TargetField['role'], 'next'>, Loss>>;

export function lossOf(field: TargetField): Loss {
  return field.role === 'next' ? nextLoss(field) : losses[field.role];
}

/** Returns the loss of each sample in training: times the weight of its class, if classes have weights. */
export function trainingLosses(outputs: Tensor, targets: Tensor, field: TargetField): Tensor {
  const own = lossOf(field).each(outputs, targets);
  if (field.role !== 'index' || !field.classWeights) return own;
  return mul(own, indexSelect(fromArray(outputs.backend, field.classWeights), targets));
}
