import { type HostBackend, isHostBackend, openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { createEvaluator } from '../src/evaluation.ts';
import { createEvaluation, createPrediction, initialize, parameterCount, parseModel } from '../src/index.ts';

const model = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

async function hostBackend(name: 'reference' | 'cpu'): Promise<HostBackend> {
  const { backend } = await openBackend(name);
  if (!isHostBackend(backend)) throw new Error(`${name}: expected a backend in JavaScript's own memory`);
  return backend;
}

function tinyDataset(count: number): { images: Uint8Array; labels: Uint8Array } {
  return {
    images: Uint8Array.from({ length: count * 4 }, (_, index) => (index * 151) % 256),
    labels: Uint8Array.from({ length: count }, (_, index) => (index * 7) % 3),
  };
}

const noPause = async (): Promise<void> => {};

describe.each(['reference', 'cpu'] as const)('an evaluation on %s', (name) => {
  it('is the mean over all samples, whole slices and a short last one', async () => {
    const backend = await hostBackend(name);
    for (const count of [1, 249, 250, 251, 777]) {
      const data = tinyDataset(count);
      const weights = initialize(model, 5);
      const evaluator = createEvaluator(backend, model, data);
      const { loss, accuracy } = await evaluator.evaluate(weights, noPause);

      // The whole set in one piece, and its accuracy by the largest of each sample's scores.
      const parameters = backend.allocate(parameterCount(model));
      backend.upload(parameters, weights);
      const whole = createEvaluation(backend, model, count, parameters);
      whole.run(data.images, data.labels);
      expect(loss).toBeCloseTo(backend.view(whole.output)[0]! / count, 4);
      const scores = createPrediction(backend, model, count, parameters);
      scores.run(data.images);
      const values = backend.view(scores.output);
      const right = [...data.labels].filter((label, sample) => {
        const ofSample = [...values.subarray(sample * 3, sample * 3 + 3)];
        return ofSample.indexOf(Math.max(...ofSample)) === label;
      });
      expect(accuracy).toBe(right.length / count);
      evaluator.dispose();
    }
  });

  it('pauses between slices and not after the last, and has its own copy of the weights by then', async () => {
    const backend = await hostBackend(name);
    const evaluator = createEvaluator(backend, model, tinyDataset(600));
    const weights = initialize(model, 5);
    const expected = await evaluator.evaluate(weights.slice(), noPause);
    let pauses = 0;
    const result = await evaluator.evaluate(weights, async () => {
      pauses += 1;
      weights.fill(0);
    });
    expect(pauses).toBe(2);
    expect(result).toEqual(expected);
    evaluator.dispose();
  });

  it('can be given up between slices', async () => {
    const backend = await hostBackend(name);
    const evaluator = createEvaluator(backend, model, tinyDataset(600));
    const giveUp = (): Promise<void> => Promise.reject(new Error('given up'));
    await expect(evaluator.evaluate(initialize(model, 5), giveUp)).rejects.toThrow('given up');
    evaluator.dispose();
  });
});
