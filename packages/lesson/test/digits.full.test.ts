/** Chapters that train on MNIST: forward pass, mini-batches, the loop, optimizers, workers. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { forwardPass } from '../src/chapters/forward-pass.ts';
import { manyWorkers } from '../src/chapters/many-workers.ts';
import { miniBatches } from '../src/chapters/mini-batches.ts';
import { optimizersChapter } from '../src/chapters/optimizers.ts';
import { trainingLoop } from '../src/chapters/training-loop.ts';
import { openDigits } from './context.ts';
import { plainSgdGeneralizes } from './plain-sgd.ts';

describe('the forward pass', () => {
  test("two products with a relu between them give the logits of the network's own plan", async () => {
    const { hidden, logits, planned, active } = forwardPass.result(await openDigits(), { steps: 20 });
    expect(hidden).toHaveLength(128);
    expect(Math.min(...hidden)).toBe(0);
    expect(active).toBe(hidden.filter((value) => value !== 0).length);
    expect(logits).toHaveLength(10);
    for (const [index, logit] of logits.entries()) expect(logit).toBeCloseTo(planned[index]!, 4);
  });

  test('before any step it is unsure, after 200 it reads most digits', async () => {
    const context = await openDigits();
    const unsure = forwardPass.result(context, { steps: 0 });
    expect(Math.max(...unsure.probabilities)).toBeLessThan(0.3);
    const answers = [0, 1, 2, 3, 4, 5].map((image) => forwardPass.result(context, { image }));
    expect(answers.filter(({ answer, label }) => answer === label).length).toBeGreaterThanOrEqual(5);
    expect(unsure.accuracy).toBe(unsure.untrained);
    expect(Math.abs(unsure.untrained - 0.1)).toBeLessThan(0.05);
    expect(answers[0]!.accuracy).toBeGreaterThan(0.8);
  });
});

const ofMiniBatches = openDigits().then((context) => miniBatches.result(context));

describe('mini-batches', () => {
  test('of 64 make 938 steps of 60,000 images, the last with 32', async () => {
    const { stepsPerEpoch, lastBatch } = await ofMiniBatches;
    expect({ stepsPerEpoch, lastBatch }).toEqual({ stepsPerEpoch: 938, lastBatch: 32 });
  });

  test("a larger batch's gradient is closer to that of all; that of 64 points much the same way", async () => {
    const { agreement } = await ofMiniBatches;
    const cosines = agreement.map(({ cosine }) => cosine);
    expect(cosines).toEqual(cosines.toSorted((a, b) => a - b));
    expect(agreement.find(({ size }) => size === 64)!.cosine).toBeGreaterThan(0.5);
    // Each further image adds less.
    const gains = agreement.slice(1).map(({ size, cosine }, index) => {
      const before = agreement[index]!;
      return (cosine - before.cosine) / (size - before.size);
    });
    expect(gains).toEqual(gains.toSorted((a, b) => b - a));
  });
});

test('the noise of small batches leads out of a shallow valley, and the exact gradient does not', async () => {
  const { escapes } = await ofMiniBatches;
  expect(escapes.map(({ size }) => size)).toEqual([1, 4, 16, 64, Number.POSITIVE_INFINITY]);
  const escaped = escapes.map((each) => each.escaped);
  expect(escaped[0]).toBeGreaterThan(25);
  expect(escaped).toEqual(escaped.toSorted((a, b) => b - a));
  expect(escaped.at(-1)).toBe(0);
});

describe('the training loop', () => {
  test('plain SGD ends above 93.6 % and generalizes', () => plainSgdGeneralizes(1));

  test('is the four lines that it shows: they stand in its source, and one step of them gives the same weights', async () => {
    const source = readFileSync(new URL('../src/chapters/training-loop.ts', import.meta.url), 'utf8');
    const body = source.slice(source.indexOf('function step('));
    const [code] = trainingLoop.exhibits(await openDigits(), { samples: 100, epochs: 1 }).next().value!;
    const lines = code!.kind === 'code' ? code!.lines : [];
    expect(lines.map(({ note }) => note)).toEqual(['forward pass', 'loss', 'backward pass', 'update']);
    expect(body.split('\n').slice(1, 5)).toEqual(lines.map((line) => `  ${line.code}`));
    for (const lr of [0.0001, 0.05, 10]) {
      const { difference } = trainingLoop.result(await openDigits(), { samples: 100, epochs: 1, lr });
      expect(difference).toBeLessThan(1e-6 * Math.max(1, lr));
    }
  });

  test.each([
    [{ lr: 10, epochs: 1 }, 'diverges'],
    [{ lr: 3, epochs: 1 }, 'learns nothing'],
    [{ lr: 0.0001, epochs: 1, samples: 6000 }, 'learns nothing'],
    [{ samples: 100, epochs: 1 }, 'underfits'],
  ] as const)('%j: %s', async (settings, expected) => {
    const { verdict, results } = trainingLoop.result(await openDigits(), settings);
    expect(verdict).toBe(expected);
    expect(results.at(-1)!.test.accuracy).toBeLessThan(0.7);
  });

  test('on 300 images it learns them by heart and stays behind on others', async () => {
    const settings = { samples: 300, epochs: 60, lr: 0.1 };
    const { results, seconds, verdict } = trainingLoop.result(await openDigits(), settings);
    expect(verdict).toBe('overfits');
    expect(seconds).toBeLessThan(performance.now() / 1000);
    const { train, test: measured } = results.at(-1)!;
    expect(train.accuracy).toBeGreaterThan(0.99);
    expect(train.accuracy - measured.accuracy).toBeGreaterThan(0.1);
  });

  test('with too large a learning rate the loss ends above where it began; with too small a one it hardly moves', async () => {
    const context = await openDigits();
    const lossesAt = (lr: number): readonly number[] =>
      trainingLoop.result(context, { lr, samples: 6400, epochs: 1 }).results.map(({ test: { loss } }) => loss);
    const [first, large] = lossesAt(10);
    expect(large).toBeGreaterThan(first!);
    const [, small] = lossesAt(0.0001);
    expect(Math.abs(small! - first!)).toBeLessThan(0.05);
    const [, right] = lossesAt(0.1);
    expect(right).toBeLessThan(first! / 2);
  });
});

describe('one line from SGD to Adam', () => {
  test('takes the same network from the same start to 97 %, ahead of momentum, ahead of SGD', async () => {
    const { trained } = optimizersChapter.result(await openDigits());
    expect(trained.map(({ config }) => config.type)).toEqual(['sgd', 'momentum', 'adam']);
    const [sgd, momentum, adam] = trained;
    expect(sgd!.losses[0]).toBe(adam!.losses[0]);
    expect(sgd!.losses[0]).toBe(momentum!.losses[0]);
    expect(momentum!.test.accuracy).toBeGreaterThan(sgd!.test.accuracy + 0.03);
    expect(adam!.test.accuracy).toBeGreaterThanOrEqual(0.97);
    expect(adam!.test.accuracy).toBeGreaterThan(momentum!.test.accuracy);
  });
});

describe('several workers', () => {
  test('give the same weights to the bit, while sums in another order differ', async () => {
    const { runs, sums, parameters, bytes } = manyWorkers.result(await openDigits());
    expect(parameters).toBe(101_770);
    expect(runs.map(({ differing }) => differing)).toEqual(runs.map(() => 0));
    expect(runs.map(({ workers }) => workers)).toEqual([1, 2, 3, 4, 8]);
    expect(sums.asTheyCome).toBeGreaterThan(1000);
    expect(sums.inTheTree).toBe(0);
    expect(bytes).toBe(2 * 407_080);
  });

  test('end with the same weights although one lies, once a check has found it', async () => {
    const context = await openDigits();
    const outcomes = (['worker 1', 'worker 2', 'worker 3'] as const).flatMap((liar) =>
      [0.05, 0.25, 1].map((rate) => manyWorkers.result(context, { steps: 12, liar, rate }).lying),
    );
    for (const { caught, differing, lies } of outcomes) {
      expect(differing > 0).toBe(!caught && lies > 0);
      if (!caught) continue;
      expect(caught.step).toBeGreaterThanOrEqual(6);
      // A wrong result that was added before the step has changed weights.
      expect(caught.differing > 0).toBe(caught.lies > 0 && caught.step > 6);
      expect(caught.to).toBeLessThanOrEqual(caught.lies > 0 ? 6 : caught.step);
    }
    const rewound = outcomes.filter(({ caught }) => caught && caught.lies > 0 && caught.to < 6);
    expect(rewound.length).toBeGreaterThan(0);
    expect(outcomes.filter(({ caught }) => caught).length).toBeGreaterThanOrEqual(6);
  });

  test('check fewer results as more are confirmed, and all at a rate of 1', async () => {
    const context = await openDigits();
    const [few, all] = [0.05, 1].map((rate) => manyWorkers.result(context, { liar: 'nobody', steps: 40, rate }).lying);
    expect(all).toMatchObject({ checks: all!.results, differing: 0, caught: undefined });
    expect(few!.checks).toBeLessThan(few!.results / 5);
    expect(few).toMatchObject({ differing: 0, caught: undefined });
  });
});
