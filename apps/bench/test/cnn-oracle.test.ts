/** The truth of the convolutional net, held against finite differences. */
import { expect, test } from 'vitest';
import { cnnShapes, meanCnnLoss, trainCnn } from '../src/work/cnn-oracle.ts';
import type { Batch } from '../src/work/mlp-oracle.ts';
import { cnnNet, sizeOf, splitParameters } from '../src/work/net.ts';

let state = 11;
function next(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}

const count = cnnShapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
const initial = Float32Array.from({ length: count }, () => (next() - 0.5) / 4);
// Biases that keep every channel alive, so that each parameter has a slope to compare.
for (const bias of [1, 3].map((index) => splitParameters(cnnNet, initial)[index]!)) bias.fill(0.3);
const batch: Batch = {
  pixels: Uint8Array.from({ length: 3 * 784 }, () => Math.max(0, next() * 512 - 256)),
  labels: Uint8Array.of(3, 0, 9),
};

test('it has 11,274 parameters, and loses ln 10 when it knows nothing', () => {
  expect(count).toBe(11_274);
  expect(meanCnnLoss(new Float32Array(count), batch)).toBeCloseTo(Math.log(10), 12);
});

test('a step goes down the gradient of the mean loss, by central differences in every parameter tensor', () => {
  const stepped = trainCnn(initial, [batch], 1, 1);
  // So small that no maximum changes hands on the way, which would bend the loss.
  const half = 1e-6;
  const lossAt = (index: number, shift: number): number => {
    const shifted = Float64Array.from(initial);
    shifted[index]! += shift;
    return meanCnnLoss(shifted, batch);
  };
  let start = 0;
  for (const part of splitParameters(cnnNet, initial)) {
    for (const place of [0, Math.floor(part.length * 0.4), part.length - 1]) {
      const index = start + place;
      const slope = (lossAt(index, half) - lossAt(index, -half)) / (2 * half);
      expect(slope).not.toBe(0);
      expect(initial[index]! - stepped[index]!).toBeCloseTo(slope, 6);
    }
    start += part.length;
  }
});

test('where all values of a window tie one of them gets the gradient, and where ReLU closed it none', () => {
  // A black image: every sum of the first stage is its bias.
  const black: Batch = { pixels: new Uint8Array(784), labels: Uint8Array.of(4) };
  const half = 1e-6;
  const [up, down] = [half, -half].map((shift) => {
    const shifted = Float64Array.from(initial);
    shifted[200]! += shift;
    return meanCnnLoss(shifted, black);
  });
  const slope = (up! - down!) / (2 * half);
  expect(slope).not.toBe(0);
  expect(initial[200]! - trainCnn(initial, [black], 1, 1)[200]!).toBeCloseTo(slope, 6);
  const closed = initial.slice();
  closed.fill(-1, 200, 208);
  expect([...trainCnn(closed, [black], 1, 1).subarray(0, 208)]).toEqual([...closed.subarray(0, 208)]);
});
