/** The best weights and early stopping as a program uses them: the same on any workers, after a kill, and with DiLoCo. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluatedEpoch } from '@lockstep/record';
import { describe, expect, it } from 'vitest';
import { ConfigurationError, loadModel, TrainingError, type TrainOptions, train } from '../src/index.ts';
import { best, choiceOf, expectResumed, hasty, iris, reportOf } from './best-runs.ts';
import { temporaryFolder } from './folder.ts';
import { tiny } from './open-run.ts';
import { tinyData } from './tiny-dataset.ts';

const folder = temporaryFolder();
const alone = await train(best).result;
const expected = choiceOf(alone.report);

describe('a run with keep and patience', () => {
  it('ends after its patience, with the weights of its best epoch, and verifies them', async () => {
    const { kept, stoppedAfterEpoch = 0, epochs, steps, config } = alone.report;
    const losses = epochs.map(({ validation }) => validation!.loss);
    const lowest = losses.indexOf(Math.min(...losses));
    expect(alone.outcome).toBe('finished');
    expect(config.validation).toEqual({ samples: 12, monitor: 'loss', keep: 'best', patience: 5 });
    expect(kept).toEqual({ epoch: lowest + 1, step: 7 * (lowest + 1), monitor: 'loss', value: losses[lowest] });
    expect([stoppedAfterEpoch, epochs.length, steps]).toEqual([lowest + 6, lowest + 6, 7 * (lowest + 6)]);
    expect(stoppedAfterEpoch).toBeLessThan(hasty.epochs);
    const { loss } = await alone.model.evaluate(iris.test);
    expect(loss).toBe(epochs[lowest]!.testLoss);
    alone.model.dispose();
    expect(await alone.verify()).toEqual({ verified: true });
    const file = await loadModel(alone.modelFile());
    expect(file.weightsSha256).toBe(alone.report.weightsSha256);
    file.dispose();
    // Training to the kept epoch alone gives the same weights, so validation changes nothing else.
    const { report } = await train({ ...best, patience: undefined, steps: kept!.step }).result;
    expect(report.weightsSha256).toBe(alone.report.weightsSha256);
  });

  it.each<[string, TrainOptions]>([
    ['3 workers', { workers: 3, threads: 1 }],
    ['a colocated worker', { workers: 1, colocate: true, threads: 1 }],
    ['3 threads', { threads: 3 }],
  ])('chooses the same on %s', async (_, options) => {
    expect(choiceOf(await reportOf({ ...best, ...options }))).toEqual(expected);
  });

  it('chooses the same if it is interrupted after step 20 and resumed', () => expectResumed(folder, 20, alone));

  it('keeps the last weights after its patience by default', async () => {
    const { kept, stoppedAfterEpoch, steps, weightsSha256 } = await reportOf({ ...best, keep: 'last' });
    expect([kept, stoppedAfterEpoch]).toEqual([undefined, expected.stoppedAfterEpoch]);
    const [data, validation] = [iris, 0.1];
    expect(weightsSha256).toBe((await reportOf({ ...hasty, data, validation, steps })).weightsSha256);
  });

  it('chooses among rounds of DiLoCo', async () => {
    const rounds = { ...hasty, batch: 4, diloco: { replicas: 3, innerSteps: 4, learningRate: 0.3 }, epochs: 12 };
    const options: TrainOptions = { ...rounds, optimizer: { type: 'momentum' }, keep: 'best', patience: 3 };
    const single = choiceOf(await reportOf(options));
    expect(single.kept).toBeDefined();
    expect(choiceOf(await reportOf({ ...options, workers: 2, threads: 1 }))).toEqual(single);
  });
});

describe('validation samples', () => {
  it('are a fraction of the training samples, in the proportions of the classes, by the seed', async () => {
    const { config, data, epochs } = await reportOf({ ...hasty, epochs: 1, validation: 0.25 });
    expect([config.samples, config.validation]).toEqual([90, { samples: 30, monitor: 'loss', keep: 'last' }]);
    expect(epochs[0]!.validation).toMatchObject({ accuracy: expect.any(Number), r2: null });
    const seeded = await reportOf({ ...hasty, epochs: 1, validation: 0.25, seed: 2 });
    expect(seeded.data.sha256).not.toBe(data.sha256);
  });

  it('are a data set, or a file that is read as the training data were', async () => {
    const rows = ['a,b,label', ...Array.from({ length: 60 }, (_, row) => `${row % 7},${row % 5},${row % 3}`)];
    const [data, validation] = ['rows.csv', 'validation.csv'].map((name) => join(folder, name)) as [string, string];
    writeFileSync(data, `${rows.join('\n')}\n`);
    writeFileSync(validation, `${rows.slice(0, 10).join('\n')}\n`);
    const { config, epochs } = await reportOf({ data, validation, epochs: 2 });
    expect([config.samples, config.validation?.samples]).toEqual([48, 9]);
    const given = await reportOf({ ...tiny, validation: tinyData.test });
    expect(given.epochs.map(({ validation: own }) => own?.loss)).toEqual(given.epochs.map(({ testLoss }) => testLoss));
    expect(epochs[0]!.validation!.loss).toBeGreaterThan(0);
  });

  it.each<[string, TrainOptions, string]>([
    ['monitor alone', { monitor: 'accuracy' }, 'monitor: requires keep best or patience, which compare epochs by it'],
    [
      'of other targets',
      { keep: 'best', monitor: 'rmse' },
      'monitor: expected a measure of classes (loss, accuracy, f1, balanced-accuracy, roc-auc, pr-auc, log-loss), got rmse',
    ],
    [
      'a fraction of 1',
      { validation: 1 },
      'validation: expected a fraction above 0 and below 1, or a path, or a data set, got 1',
    ],
    [
      'no file',
      { validation: join(folder, 'none.csv') },
      `validation: ${join(folder, 'none.csv')}: no such file or folder`,
    ],
    [
      'other samples',
      { validation: iris.test },
      'validation: the validation set: expected u8 samples of 4 x 4 x 1 and 3 classes, as in the training set, got f32 samples of 4 and 3 classes',
    ],
  ])('that are %s are refused in one sentence', async (_, options, message) => {
    const failed = train({ ...tiny, ...options }).result;
    await expect(failed).rejects.toThrow(ConfigurationError);
    await expect(failed).rejects.toThrow(message);
  });
});

describe('onEpoch', () => {
  it('gets each epoch in order, with a copy of its weights, and the result waits for it', async () => {
    const seen: EvaluatedEpoch[] = [];
    const { report, weights } = await train({
      ...tiny,
      validation: 0.2,
      async onEpoch(epoch) {
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(epoch);
      },
    }).result;
    expect(seen.map(({ epoch, step }) => [epoch, step])).toEqual([
      [1, 5],
      [2, 10],
      [3, 15],
    ]);
    expect(seen.map(({ metrics }) => metrics)).toEqual(report.epochs);
    expect(seen.at(-1)!.weights).toEqual(weights);
    expect(seen.at(-1)!.weights).not.toBe(weights);
  });

  it.each([1, 3])('fails the run if it throws after epoch %i', async (failing) => {
    const onEpoch: TrainOptions['onEpoch'] = ({ epoch }) => {
      if (epoch === failing) throw new Error('the disk is full');
    };
    const failure = await train({ ...tiny, onEpoch }).result.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TrainingError);
    const { message, result } = failure as TrainingError;
    expect(message).toBe(`onEpoch failed after epoch ${failing}: the disk is full`);
    expect(result.report.epochs).toHaveLength(failing);
  });
});

it('an asynchronous onStep that rejects fails the run', async () => {
  const onStep = async ({ step }: { readonly step: number }): Promise<void> => {
    if (step === 3) throw new Error('the disk is full');
  };
  const failure = await train({ ...tiny, onStep }).result.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TrainingError);
  expect((failure as TrainingError).message).toBe('onStep failed after step 3: the disk is full');
});
