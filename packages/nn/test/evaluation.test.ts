import { classTargets, samplesOf, valueTargets } from '@lockstep/data';
import type { HostBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import {
  createConfusionEvaluator,
  createEvaluation,
  createEvaluator,
  createPrediction,
  createValueErrors,
  initialize,
  largestScore,
  parameterCount,
  parseModel,
} from '../src/index.ts';
import { backends } from './backends.ts';

const model = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

function tinyDataset(count: number) {
  const labels = Uint16Array.from({ length: count }, (_, index) => (index * 7) % 3);
  const pixels = Uint8Array.from({ length: count * 4 }, (_, index) => (index * 151) % 256);
  return {
    samples: samplesOf(pixels, [4]),
    count,
    targets: classTargets(labels, []),
  };
}

const noPause = async (): Promise<void> => {};

describe.each(backends)('an evaluation on $name', ({ open }) => {
  it('is the mean over all samples, whole slices and a short last one', async () => {
    const backend = await open();
    for (const count of [1, 249, 250, 251, 777]) {
      const data = tinyDataset(count);
      const weights = initialize(model, 5);
      const evaluator = createEvaluator(backend, model, data);
      const { loss, accuracy } = await evaluator.evaluate(weights, noPause);

      // Evaluates the whole set in one plan, and computes the accuracy from the largest score of each sample.
      const parameters = backend.allocate(parameterCount(model));
      backend.upload(parameters, weights);
      const whole = createEvaluation(backend, model, count, parameters);
      whole.run(data.samples.values, data.targets.values);
      expect(loss).toBeCloseTo(backend.view(whole.output)[0]! / count, 4);
      const scores = createPrediction(backend, model, count, parameters);
      scores.run(data.samples.values);
      const values = backend.view(scores.output);
      const correct = [...data.targets.values].filter((label, sample) => {
        const ofSample = [...values.subarray(sample * 3, sample * 3 + 3)];
        return ofSample.indexOf(Math.max(...ofSample)) === label;
      });
      expect(accuracy).toBe(correct.length / count);
      evaluator.dispose();
    }
  });

  it('gives memory that it borrows back after each evaluation, also one that is given up, and measures the same in it', async () => {
    const backend = await open();
    const data = tinyDataset(600);
    const weights = initialize(model, 5);
    const own = createEvaluator(backend, model, data);
    const expected = await own.evaluate(weights, noPause);
    // Lends memory that is longer than the weights, and new each time.
    const lent = new Set<unknown>();
    const borrowing = createEvaluator(backend, model, data, {
      take() {
        const memory = backend.allocate(parameterCount(model) + 2);
        lent.add(memory);
        return memory;
      },
      give(memory) {
        expect(lent.delete(memory)).toBe(true);
        backend.free(memory);
      },
    });
    expect(lent.size).toBe(0);
    const gaveUp = new Error('given up');
    for (let time = 0; time < 2; time++) {
      expect(await borrowing.evaluate(weights, noPause)).toEqual(expected);
      expect(lent.size).toBe(0);
      await expect(borrowing.evaluate(weights, () => Promise.reject(gaveUp))).rejects.toBe(gaveUp);
      expect(lent.size).toBe(0);
    }
    borrowing.dispose();
    own.dispose();
  });

  it('pauses between slices and not after the last, and has its own copy of the weights by then', async () => {
    const backend = await open();
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

  it('measures the same with metrics, which agree with it', async () => {
    const backend = await open();
    const data = tinyDataset(600);
    const weights = initialize(model, 8);
    const plain = await createEvaluator(backend, model, data).evaluate(weights, noPause);
    const { metrics, ...same } = await createEvaluator(backend, model, data).evaluate(weights, noPause, true);
    expect(same).toEqual(plain);
    expect(metrics).toMatchObject({ accuracy: plain.accuracy, logLoss: expect.closeTo(plain.loss, 5) });

    const values = { ...data, targets: valueTargets(new Float32Array(1800).fill(1, 0, 700), ['a', 'b', 'c']) };
    const errors = await createEvaluator(backend, model, values).evaluate(weights, noPause);
    const measured = await createEvaluator(backend, model, values).evaluate(weights, noPause, true);
    const [r2, rmse] = [expect.closeTo(errors.r2!, 5), expect.closeTo(errors.rmse!, 5)];
    expect(measured).toEqual({ ...errors, metrics: expect.objectContaining({ r2, rmse }) });
  });

  it('has no accuracy if the loss is not finite', async () => {
    const backend = await open();
    const evaluator = createEvaluator(backend, model, tinyDataset(600));
    const weights = initialize(model, 5).fill(Number.NaN, -1);
    expect(await evaluator.evaluate(weights, noPause)).toMatchObject({ loss: Number.NaN, accuracy: null });
    evaluator.dispose();
    const measured = createEvaluator(backend, model, tinyDataset(600));
    expect(await measured.evaluate(weights, noPause, true)).toMatchObject({ accuracy: null, metrics: null });
  });

  it('ends between slices when the pause rejects', async () => {
    const backend = await open();
    const evaluator = createEvaluator(backend, model, tinyDataset(600));
    const abort = (): Promise<void> => Promise.reject(new Error('aborted'));
    await expect(evaluator.evaluate(initialize(model, 5), abort)).rejects.toThrow('aborted');
    evaluator.dispose();
  });
});

describe.each(backends)('a confusion matrix on $name', ({ open }) => {
  /** Returns the scores [count, 3] of the whole set, computed in one plan. */
  function scoresOf(backend: HostBackend, weights: Float32Array, data: ReturnType<typeof tinyDataset>): Float32Array {
    const parameters = backend.allocate(parameterCount(model));
    backend.upload(parameters, weights);
    const plan = createPrediction(backend, model, data.count, parameters);
    plan.run(data.samples.values);
    return backend.view(plan.output).slice();
  }

  it.each([1, 250, 251, 600])('counts each of %i samples once, by its class and its largest score', async (count) => {
    const backend = await open();
    const data = tinyDataset(count);
    const weights = initialize(model, 5);
    const evaluator = createConfusionEvaluator(backend, model, data, 4);
    const { counts, topErrors } = await evaluator.evaluate(weights, noPause);
    evaluator.dispose();

    const scores = scoresOf(backend, weights, data);
    const expected = new Float32Array(9);
    const errors = [];
    for (const [index, label] of data.targets.values.entries()) {
      const own = [...scores.subarray(index * 3, index * 3 + 3)];
      const predicted = own.indexOf(Math.max(...own));
      expected[label * 3 + predicted]! += 1;
      const sum = own.reduce((total, score) => total + Math.exp(score), 0);
      if (predicted !== label) errors.push({ index, label, predicted, probability: Math.exp(own[predicted]!) / sum });
    }
    expect(counts).toEqual(expected);
    errors.sort((left, right) => right.probability - left.probability);
    expect(topErrors).toHaveLength(Math.min(4, errors.length));
    for (const [place, { probability, ...error }] of topErrors.entries()) {
      expect(probability).toBeCloseTo(errors[place]!.probability, 6);
      expect(errors.find(({ index }) => index === error.index)).toMatchObject(error);
    }
  });

  it('counts scores that are no numbers as the first class, with a probability of 0', async () => {
    const backend = await open();
    const targets = classTargets(Uint16Array.of(0, 2), []);
    const data = { samples: samplesOf(new Uint8Array(8), [4]), count: 2, targets };
    const evaluator = createConfusionEvaluator(backend, model, data, 4);
    const { counts, topErrors } = await evaluator.evaluate(
      new Float32Array(parameterCount(model)).fill(Number.NaN),
      noPause,
    );
    expect([...counts!]).toEqual([1, 0, 0, 0, 0, 0, 1, 0, 0]);
    expect(topErrors).toEqual([{ index: 1, label: 2, predicted: 0, probability: 0 }]);
  });
});

it('ranks a prediction that is no number as the most wrong one', async () => {
  const backend = await backends[0]!.open();
  const line = parseModel({ name: 'line', input: [1], layers: [{ type: 'dense', units: 1 }] });
  const values = Float32Array.of(1, 5, Number.NaN, 2, 9, Number.NaN, 3);
  const data = {
    samples: samplesOf(new Float32Array(values.length), [1]),
    count: values.length,
    targets: valueTargets(values, ['y']),
  };
  for (const most of [3, 5]) {
    const found = await createValueErrors(backend, line, data, most).evaluate(new Float32Array(2), noPause);
    expect(found.map(({ index }) => index)).toEqual([2, 5, 4, 1, 6].slice(0, most));
  }
});

it('takes the first score that is no number as the largest, as the op does', () => {
  expect(largestScore(Float32Array.of(1, 3, Number.NaN, 7, Number.NaN))).toBe(2);
  expect(largestScore(Float32Array.of(Number.NaN, 3))).toBe(0);
  expect(largestScore(Float32Array.of(1, 3, 3))).toBe(1);
});
