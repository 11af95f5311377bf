/** Runs that keep their best weights and stop early, and what must be equal in all of them. */
import { join } from 'node:path';
import type { Report } from '@lockstep/record';
import { expect } from 'vitest';
import { openDataset, type TrainingResult, type TrainOptions, train } from '../src/index.ts';

export const iris = await openDataset(new URL('../../../docs/iris.csv', import.meta.url).pathname);
/** Overfits soon: 108 samples, seven steps an epoch. */
export const hasty = { data: iris, batch: 16, epochs: 40, optimizer: { type: 'momentum', learningRate: 0.3 } } as const;
export const best = { ...hasty, keep: 'best', patience: 5 } satisfies TrainOptions;
export const reportOf = async (options: TrainOptions): Promise<Report> => (await train(options).result).report;

/** Everything in a report that is a function of the epochs. */
export function choiceOf({ kept, stoppedAfterEpoch, steps, epochs, curve, weightsSha256 }: Report) {
  const measured = epochs.map(({ seconds: _, imagesPerSecond: __, ...epoch }) => epoch);
  const points = curve.map(({ seconds: _, ...point }) => point);
  return { kept, stoppedAfterEpoch, steps, epochs: measured, points, weightsSha256 };
}

/** Interrupts such a run after a step, resumes it twice, and compares it with one that was not interrupted. */
export async function expectResumed(folder: string, step: number, alone: TrainingResult): Promise<void> {
  const expected = choiceOf(alone.report);
  const checkpoint = { folder: join(folder, `interrupted-${step}`), every: { steps: 1 }, resume: true };
  const interruption = new AbortController();
  const onStep: TrainOptions['onStep'] = (event) => event.step >= step && interruption.abort();
  const { outcome } = await train({ ...best, checkpoint, onStep, signal: interruption.signal }).result;
  expect(['stopped', 'finished']).toContain(outcome);
  expect(choiceOf(await reportOf({ ...best, checkpoint }))).toEqual(expected);
  // It has stopped early: another resume has nothing to train.
  const again = await train({ ...best, workers: 1, checkpoint }).result;
  expect(choiceOf(again.report)).toEqual(expected);
  expect(again.weights).toEqual(alone.weights);
  expect(again.outcome).toBe('finished');
}
