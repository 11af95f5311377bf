/** Ops on class scores: `logits` [rows, classes] and `labels` [rows] that hold class indices. */
import type { OpResult } from '../autograd.ts';
import { commonBackend, runCall } from '../evaluate.ts';
import { unexpectedShapes } from '../shape.ts';
import { checkTensor, emptyTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { equal } from './compare.ts';
import { defineOp } from './define.ts';
import { mul } from './elementwise.ts';
import { argmax } from './reduce.ts';

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
