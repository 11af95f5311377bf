/** Loss functions, one for each type of target. */
import {
  correct,
  mean,
  mul,
  type Shape,
  type SumOptions,
  softmaxCrossEntropy,
  sub,
  sum,
  type Tensor,
  zeros,
} from '@lockstep/tensor';

/** Class indices [count], below 65,536; or values [count, outputs]. */
export type TargetValues = Uint8Array | Uint16Array | Float32Array;

interface Loss {
  /** Returns the shape of the targets of `samples` samples. */
  targetShape(samples: number, outputs: number): Shape;
  /** Returns the loss of each sample: outputs of the model [samples, outputs], targets -> [samples]. */
  each(outputs: Tensor, targets: Tensor): Tensor;
  /** Returns the number of correctly classified samples; 0 if targets are values. */
  correct(outputs: Tensor, targets: Tensor, options: SumOptions): Tensor;
}

/** The loss for each type of target: `losses.values.each(outputs, targets)`. */
export const losses = {
  /** Softmax cross-entropy, as in `torch.nn.CrossEntropyLoss`: `-log(softmax(outputs)[label])`. */
  classes: {
    targetShape: (samples) => [samples],
    each: (outputs, labels) => softmaxCrossEntropy(outputs, labels),
    correct: (outputs, labels, options) => sum(correct(outputs, labels), options),
  },
  /** Squared error `sum((output - target)^2) / outputs`; its mean over samples is `torch.nn.MSELoss`. */
  values: {
    targetShape: (samples, outputs) => [samples, outputs],
    each(outputs, targets) {
      const difference = sub(outputs, targets);
      return mean(mul(difference, difference), { axes: [1] });
    },
    correct: (outputs) => zeros(outputs.backend, []),
  },
} satisfies Readonly<Record<string, Loss>>;

/** Type of the targets: class indices, or values to predict. */
export type TargetType = keyof typeof losses;
