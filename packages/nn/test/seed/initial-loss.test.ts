/** "For a randomly initialized 10-class model, the expected initial loss is ln 10"; a chance of 1 in 10 to be right. */
import { expect, test } from 'vitest';
import { createEvaluation, resolveModel } from '../../src/index.ts';
import { mnistBatch } from '../goldens.ts';
import { uploadInitial } from '../training.ts';
import { openHost } from './fit.ts';

test.each([1, 2, 3, 4, 5])('seed %i', async (seed) => {
  const model = resolveModel('mlp');
  const backend = await openHost();
  const evaluation = createEvaluation(backend, model, 64, uploadInitial(backend, model, seed));
  let [loss, correct] = [0, 0];
  for (let step = 0; step < 20; step++) {
    const { pixels, labels } = mnistBatch(step);
    evaluation.run(pixels, labels);
    const [lossSum, correctSum] = backend.view(evaluation.output);
    loss += lossSum! / 1280;
    correct += correctSum! / 1280;
  }
  expect(Math.abs(loss - Math.log(10))).toBeLessThan(0.05);
  expect(Math.abs(correct - 0.1)).toBeLessThan(0.1);
});
