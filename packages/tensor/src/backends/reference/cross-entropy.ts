/** Softmax cross-entropy of each row of logits, and its gradient. */
import type { CrossEntropyCall } from '../../backend.ts';
import { exp32, log32 } from '../../float32.ts';
import type { Placed } from '../operands.ts';

const { fround } = Math;

export function crossEntropy({ rows, classes, ...places }: Placed<CrossEntropyCall, Float32Array>): void {
  const { logits, labels, losses, gradient = new Float32Array(rows * classes) } = places;
  for (let row = 0; row < rows; row++) {
    const start = row * classes;
    const label = labels[row]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      losses[row] = Number.NaN;
      gradient.fill(Number.NaN, start, start + classes);
      continue;
    }
    let largest = Number.NEGATIVE_INFINITY;
    for (let index = start; index < start + classes; index++) largest = Math.max(largest, logits[index]!);
    const atLabel = fround(logits[start + label]! - largest);
    let total = 0;
    for (let index = start; index < start + classes; index++) {
      const power = exp32(fround(logits[index]! - largest));
      gradient[index] = power;
      total = fround(total + power);
    }
    losses[row] = log32(total) - atLabel;
    for (let index = start; index < start + classes; index++) gradient[index]! /= total;
    gradient[start + label]! -= 1;
  }
}
