/** The losses that training lessens, one for each type of target. */
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
  /** Of the targets of so many samples. */
  targetShape(samples: number, outputs: number): Shape;
  /** Loss of each sample: outputs of the model [samples, outputs], targets -> [samples]. */
  each(outputs: Tensor, targets: Tensor): Tensor;
  /** How many samples have their class right; 0 where there are no classes. */
  correct(outputs: Tensor, targets: Tensor, options: SumOptions): Tensor;
}

/** The loss of each type of target, as tensors: `losses.values.each(outputs, targets)`. */
export const losses = {
  /** Cross-entropy of the softmax, as `torch.nn.CrossEntropyLoss`: `-log(softmax(outputs)[label])`. */
  classes: {
    targetShape: (samples) => [samples],
    each: (outputs, labels) => softmaxCrossEntropy(outputs, labels),
    correct: (outputs, labels, options) => sum(correct(outputs, labels), options),
  },
  /** Mean squared error, as `torch.nn.MSELoss`: `sum((output - target)^2) / outputs`, whose mean over samples it takes. */
  values: {
    targetShape: (samples, outputs) => [samples, outputs],
    each(outputs, targets) {
      const difference = sub(outputs, targets);
      return mean(mul(difference, difference), { axes: [1] });
    },
    correct: (outputs) => zeros(outputs.backend, []),
  },
} satisfies Readonly<Record<string, Loss>>;

/** What samples are labeled with: the number of a class, or numbers to come close to. */
export type TargetType = keyof typeof losses;
