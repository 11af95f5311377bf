/** "The learning rate is the most consequential hyperparameter in training." */
import { expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  createOptimizer,
  initialize,
  parameterCount,
  resolveModel,
} from '../../src/index.ts';
import { mnistBatch } from '../goldens.ts';
import { openHost } from './fit.ts';

const model = resolveModel('mlp');
const size = parameterCount(model);

/** The loss of each of the first 100 batches of MNIST, before the step on it. */
async function lossesAt(learningRate: number): Promise<number[]> {
  const backend = await openHost();
  const parameters = backend.allocate(size);
  backend.upload(parameters, initialize(model, 1));
  const microbatch = createMicrobatchGradient(backend, model, 64, parameters);
  const optimizer = createOptimizer(
    backend,
    { type: 'sgd', learningRate },
    parameters,
    backend.slice(microbatch.output, 0, size),
  );
  return Array.from({ length: 100 }, (_, step) => {
    const { pixels, labels } = mnistBatch(step);
    microbatch.run(pixels, labels);
    const loss = backend.view(microbatch.output)[size]! / 64;
    optimizer.step(64);
    return loss;
  });
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
