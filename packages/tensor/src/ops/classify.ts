/** Operations on class scores: `logits` [rows, classes] and `labels` [rows] that hold class indices. */
import { commonBackend, runCall } from '../evaluate.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { emptyTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal } from './compare.ts';
import { defineOperation } from './define.ts';
import { mul } from './elementwise.ts';
import { argmax } from './reduce.ts';

export const softmaxCrossEntropyOperation = defineOperation<Record<never, never>>({
  name: 'softmaxCrossEntropy',
  forward(operands) {
    const [logits, labels] = operands as [Tensor, Tensor];
    const [rows, classes] = checkClassification('softmaxCrossEntropy', logits, labels);
    const backend = commonBackend('softmaxCrossEntropy', operands);
    const output = emptyTensor(backend, [rows]);
    const gradient = emptyTensor(backend, [rows, classes]);
    runCall(backend, {
      kind: 'crossEntropy',
      rows,
      classes,
      logits: logits.storage,
      labels: labels.storage,
      losses: output.storage,
      gradient: gradient.storage,
    });
    return { output, saved: [gradient] };
  },
  gradient: [
    (gradient, { saved }) => mul(saved[0]!, reshape(gradient, [gradient.size, 1])),
    () => {
      throw new Error('softmaxCrossEntropy: labels are class indices and have no gradient');
    },
  ],
  examples: [
    [4, 10],
    [1, 1],
    [3, 2],
    [0, 5],
    [5, 17],
  ].map((shape) => ({
    shapes: [shape, [shape[0]!]],
    attributes: {},
    domains: ['any', 'class index'],
  })),
});

function checkClassification(operation: string, logits: Tensor, labels: Tensor): [number, number] {
  const [rows, classes] = logits.shape;
  if (logits.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== rows || classes === 0) {
    throw new ShapeError(
      `${operation}: expected logits [rows, classes] and labels [rows], got ${formatShape(logits.shape)} and ${formatShape(labels.shape)}`,
    );
  }
  return [rows!, classes!];
}

/**
 * Loss of each row, `log(sum(exp(z))) - z[label]` with `z = logits - max(row)`; safe for logits of any finite size.
 * The gradient with respect to the logits, `softmax - onehot(label)`, is computed in the same pass.
 * `[rows, classes], [rows] -> [rows]`. A label outside [0, classes) makes its row NaN.
 */
export function softmaxCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return softmaxCrossEntropyOperation.apply([logits, labels], {});
}

/** 1 where the largest logit of the row, the first if several, is at its label, else 0: `[rows, classes], [rows] -> [rows]`. */
export function correct(logits: Tensor, labels: Tensor): Tensor {
  checkClassification('correct', logits, labels);
  return equal(argmax(logits, 1), labels);
}

export const classifyOperations = [softmaxCrossEntropyOperation] as const;
