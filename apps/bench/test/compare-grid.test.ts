/** The grid of a comparison: by default, and with options. */
import { classTargets, type Dataset, samplesOf } from '@lockstep/data';
import { describe, expect, test } from 'vitest';
import { defaultPoints, gridOf, peerNet, runDataOf, startUpPart, workerCounts } from '../src/compare/grid.ts';
import { commandOf, TimeBudget, type Workers } from '../src/compare/measure.ts';

/** 27 different characters. */
const text = 'The quick brown fox jumps over the lazy dog'.toLowerCase();
const nothing = { model: undefined, batch: undefined, steps: undefined, lr: undefined };
/** Images in one epoch, and in the default number of epochs. */
const oneEpoch = 60_000;
const fiveEpochs = 5 * oneEpoch;

describe('the grid', () => {
  test('by default holds what gains least and most, within the default number of epochs each', () => {
    const grid = gridOf(nothing, text);
    expect(grid.map(({ name }) => name)).toEqual([
      'mlp, batch 64',
      'mlp, batch 128',
      'mlp, batch 512',
      'mlp, batch 2048',
      'mlp-1024, batch 512',
      'cnn, batch 256',
      'gpt, batch 12',
    ]);
    for (const { batch, steps } of grid) expect(batch * steps).toBeLessThanOrEqual(fiveEpochs);
    for (const training of grid) expect(peerNet(training)).toBeDefined();
    expect(grid.map(({ parameters }) => parameters)).toEqual([
      101_770, 101_770, 101_770, 101_770, 814_090, 11_274, 804_992,
    ]);
    expect(grid.at(-1)!.work).toEqual({ amount: 12 * 64, unit: 'tokens' });
  });

  test('is measured when workers have kept every sample, however few steps there are', () => {
    const all = dataset(oneEpoch);
    for (const training of gridOf(nothing, text)) {
      for (const steps of [24, training.steps]) {
        const { count } = runDataOf(all, { ...training, steps });
        expect(count).toBeGreaterThanOrEqual(training.batch);
        expect(training.batch * steps * startUpPart).toBeGreaterThanOrEqual(count);
      }
    }
  });

  test('is every model at every batch where these are given', () => {
    const grid = gridOf({ ...nothing, model: ['mlp', 'cnn'], batch: [512, 96] }, text);
    expect(grid.map(({ name }) => name)).toEqual([
      'mlp, batch 512',
      'mlp, batch 96',
      'cnn, batch 512',
      'cnn, batch 96',
    ]);
    const known = defaultPoints.find(({ model, batch }) => model === 'mlp' && batch === 512);
    expect(grid[0]).toMatchObject({ steps: known?.steps, learningRate: known?.learningRate });
    for (const { steps } of grid) expect(steps).toBeGreaterThanOrEqual(20);
  });

  test('takes the steps and the learning rate that are asked for', () => {
    for (const training of gridOf({ ...nothing, steps: 17, lr: 0.25 }, text)) {
      expect(training).toMatchObject({ steps: 17, learningRate: 0.25 });
    }
  });

  test.each([
    ['tree', /^--model tree: .*got "tree"$/],
    ['/no/such.json', /^--model: expected a file that can be read, got \/no\/such\.json$/],
    [new URL('../package.json', import.meta.url).pathname, /^--model .*package\.json: name: expected/],
  ])('%s is one sentence', (model, message) => {
    expect(() => gridOf({ ...nothing, model: [model] }, text)).toThrow(message);
  });
});

test('peers have a program for a hidden layer of any width, and for nothing like it', () => {
  const model = (layers: readonly object[]) =>
    gridOf({ ...nothing, model: ['mlp'] }, text).map(
      (training) => ({ ...training.model, layers }) as typeof training.model,
    )[0]!;
  const dense = (units: number) => ({ type: 'dense', units });
  expect(peerNet({ model: model([dense(37), { type: 'relu' }, dense(10)]) })?.shapes).toEqual([
    [784, 37],
    [37],
    [37, 10],
    [10],
  ]);
  expect(peerNet({ model: model([dense(37), { type: 'tanh' }, dense(10)]) })).toBeUndefined();
  expect(peerNet({ model: model([dense(10)]) })).toBeUndefined();
  expect(peerNet({ model: model([dense(9), { type: 'relu' }, dense(10), { type: 'relu' }]) })).toBeUndefined();
});

test.each([
  [undefined, [2]],
  [1, [1]],
  [2, [1, 2]],
  [4, [1, 2, 3, 4]],
  [6, [1, 2, 3, 4, 6]],
  [8, [1, 2, 3, 4, 8]],
  [20, [1, 2, 3, 4, 8, 16, 20]],
] as const)('up to %s workers: %j', (most, counts) => {
  expect(workerCounts(most)).toEqual(counts);
});

test('the command of a row is the one that a person would type', () => {
  const [training] = gridOf({ ...nothing, model: ['mlp'], batch: [512], steps: 30 }, text);
  const settings = { seed: 3, backend: 'auto' as const, threads: 2, data: undefined };
  expect(commandOf(training!, { kind: 'threads', count: 1 }, settings)).toBe(
    'npm start -- --single --threads 1 --model mlp --batch 512 --steps 30 --optimizer sgd --lr 0.3 --seed 3',
  );
  expect(commandOf(training!, { kind: 'processes', count: 2 }, settings)).toBe(
    'npm start -- --colocate --workers 1 --threads 2 --model mlp --batch 512 --steps 30 --optimizer sgd --lr 0.3 --seed 3',
  );
  expect(commandOf(training!, { kind: 'workers', count: 2 }, { ...settings, backend: 'cpu' })).toBe(
    'npm start -- --workers 2 --threads 2 --model mlp --batch 512 --steps 30 --optimizer sgd --lr 0.3 --seed 3 --backend cpu',
  );
});

function dataset(count: number) {
  const labels = Uint16Array.from({ length: count }, (_, at) => at % 10);
  const samples = Uint8Array.from({ length: 2 * count }, (_, at) => at % 256);
  return { count, samples: samplesOf(samples, [2]), targets: classTargets(labels, []) } satisfies Dataset;
}

describe('what the runs of a comparison train on', () => {
  test.each([
    [60_000, { batch: 2_048, steps: 65 }, 30_000],
    [60_000, { batch: 256, steps: 36 }, 4_608],
    [60_000, { batch: 40_000, steps: 10 }, 40_000],
    [500, { batch: 64, steps: 700 }, 500],
  ])('of %i samples for %j is the first %i', (count, training, expected) => {
    const all = dataset(count);
    const data = runDataOf(all, training);
    expect(data).toEqual({
      count: expected,
      samples: dataset(expected).samples,
      targets: dataset(expected).targets,
    });
  });
});

describe('a time budget', () => {
  const [training] = gridOf({ ...nothing, model: ['mlp'], batch: [64] }, text);
  const workers: Workers[] = [
    { kind: 'threads', count: 1 },
    { kind: 'workers', count: 2 },
  ];
  const minuteMs = 60_000;

  interface Machine {
    readonly startUpMs: number;
    readonly msPerStep: number;
    readonly times?: number;
    readonly minutes?: number;
  }

  /** Measures trainings on a machine with these costs of a run and a step, `times` as slow with its real rows. */
  function comparison(machine: Machine) {
    const { startUpMs, msPerStep, times = 1, minutes = 3 } = machine;
    const [trainings, peersMs] = [6, 5_000];
    let nowMs = 0;
    const budget = new TimeBudget(minutes, 3, trainings, () => nowMs);
    const choices = Array.from({ length: trainings }, () => {
      const measured = { ms: startUpMs + 12 * msPerStep, msPerStep };
      nowMs += measured.ms;
      const choice = budget.choose(training!, workers, 3, measured);
      const runsMs = choice.rounds * times * workers.length * (startUpMs + choice.steps * msPerStep);
      nowMs += runsMs + peersMs;
      budget.spent(runsMs, peersMs);
      return choice;
    });
    return { choices, minutes: nowMs / minuteMs };
  }

  test('gives a fast machine all the steps that a training needs, and no more', () => {
    const { choices, minutes } = comparison({ startUpMs: 500, msPerStep: 0.5 });
    for (const choice of choices) expect(choice).toEqual({ steps: training!.steps, rounds: 3 });
    expect(minutes).toBeLessThan(2);
  });

  test.each([
    { startUpMs: 1_000, msPerStep: 5 },
    { startUpMs: 1_000, msPerStep: 20, times: 2 },
    { startUpMs: 4_000, msPerStep: 50 },
    { startUpMs: 4_000, msPerStep: 50, times: 2 },
  ])('ends in time with fewer rounds, then fewer steps, at %j', (machine) => {
    const { choices, minutes } = comparison(machine);
    expect(minutes).toBeLessThanOrEqual(3);
    for (const { steps, rounds } of choices) {
      expect(steps).toBeGreaterThanOrEqual(12);
      expect(steps).toBeLessThanOrEqual(training!.steps);
      expect(rounds).toBeGreaterThanOrEqual(1);
      expect(rounds).toBeLessThan(3);
      if (rounds > 1) expect(steps).toBe(training!.steps);
    }
  });

  test('takes longer runs where more time was given', () => {
    const { choices } = comparison({ startUpMs: 500, msPerStep: 0.5, minutes: 9 });
    for (const { steps } of choices) expect(steps).toBe(3 * training!.steps);
  });
});
