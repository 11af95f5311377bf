/** The names of a server's runs in the chart, and what is kept of them. */
import { floatsFrom } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import { type EarlierRun, EarlierRuns, labelsOf } from '../src/dashboard/messages.ts';

const settings = {
  ...{ model: 'mlp', optimizer: 'momentum', learningRate: 0.1, batch: 128 },
  ...{ epochs: 5, schedule: 'constant', seed: 1, workers: 2 },
};

it.each<[what: string, runs: EarlierRun['settings'][], labels: string[]]>([
  ['one thing', [settings, { ...settings, learningRate: 0.2 }], ['lr 0.1', 'lr 0.2']],
  [
    'two things',
    [settings, { ...settings, learningRate: 0.2 }, { ...settings, seed: 2 }],
    ['lr 0.1, seed 1', 'lr 0.2, seed 1', 'lr 0.1, seed 2'],
  ],
  ['nothing', [settings, settings], ['run 1', 'run 2']],
  ['nothing but of one', [settings, { ...settings, model: 'cnn' }, settings], ['mlp, run 1', 'cnn', 'mlp, run 3']],
])('runs are called by what each has otherwise: %s', (_, runs, labels) => {
  expect(labelsOf(runs)).toEqual(labels);
});

const record = (count: number, lr: number): EarlierRun => ({
  settings: { ...settings, learningRate: lr },
  stepsPerEpoch: 10,
  steps: count,
  points: Array.from({ length: count }, (_, at) => ({ steps: at + 1, seconds: at, loss: 1, accuracy: 0.5 })),
  epochs: [],
});

it('the last eight are kept, each in a bounded number of points that ends with its last', () => {
  const earlier = new EarlierRuns();
  expect(earlier.message()).toBeUndefined();
  for (let run = 1; run <= 12; run += 1) earlier.begin(() => record(run * 300, run));
  const { label, runs } = earlier.message()!;
  expect(label).toBe('lr 12');
  expect(runs.map((run) => run.label)).toEqual([4, 5, 6, 7, 8, 9, 10, 11].map((lr) => `lr ${lr}`));
  expect(runs[0]!.settings).toEqual({ ...settings, learningRate: 4 });
  for (const { points, steps } of runs) {
    const shown = floatsFrom(points.steps);
    expect(shown.length).toBeLessThanOrEqual(400);
    expect(shown.at(-1)).toBe(steps);
  }
});
