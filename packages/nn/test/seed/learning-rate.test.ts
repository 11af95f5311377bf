/** "The learning rate is the most consequential hyperparameter in training." */
import { expect, test } from 'vitest';
import { resolveModel } from '../../src/index.ts';
import { mnistBatch } from '../goldens.ts';
import { train, uploadInitial } from '../training.ts';
import { openHost } from './fit.ts';

const model = resolveModel('mlp');

/** The loss of each of the first 100 batches of MNIST, before the step on it. */
async function lossesAt(learningRate: number): Promise<number[]> {
  const backend = await openHost();
  const batches = Array.from({ length: 100 }, (_, step) => mnistBatch(step));
  return train(backend, model, uploadInitial(backend, model, 1), { type: 'sgd', learningRate }, batches);
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test('about right, it falls steadily', async () => {
  const losses = await lossesAt(0.1);
  expect(mean(losses.slice(-10))).toBeLessThan(1);
  expect(mean(losses.slice(20, 40))).toBeLessThan(mean(losses.slice(0, 20)));
  expect(mean(losses.slice(40, 60))).toBeLessThan(mean(losses.slice(20, 40)));
});

test('too large, it overshoots: the loss ends above where it began', async () => {
  const losses = await lossesAt(10);
  expect(Math.max(...losses)).toBeGreaterThan(10 * losses[0]!);
  expect(mean(losses.slice(-10))).toBeGreaterThan(losses[0]!);
});

test('too small, it hardly moves', async () => {
  const losses = await lossesAt(1e-6);
  const right = await lossesAt(0.1);
  expect(Math.abs(mean(losses.slice(-10)) - losses[0]!)).toBeLessThan(0.05);
  expect(mean(losses.slice(-10))).toBeGreaterThan(mean(right.slice(-10)) + 1);
});
