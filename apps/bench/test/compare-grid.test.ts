/** The grid of a comparison: by default, and with options. */
import type { Dataset } from '@lockstep/data';
import { describe, expect, test } from 'vitest';
import { defaultPoints, gridOf, runDataOf, trainedImages, workerCounts } from '../src/compare/grid.ts';
import { commandOf } from '../src/compare/lockstep-run.ts';
import { peerNet } from '../src/compare/peers.ts';
import { startUpPart } from '../src/compare/results.ts';

const nothing = { model: undefined, batch: undefined, steps: undefined, lr: undefined };
/** Images in one epoch, and in the default number of epochs. */
const oneEpoch = 60_000;
const fiveEpochs = 5 * oneEpoch;

describe('the grid', () => {
  test('by default holds what gains least and most, within the default number of epochs each', () => {
    const grid = gridOf(nothing);
    expect(grid.map(({ name }) => name)).toEqual([
      'mlp, batch 64',
      'mlp, batch 128',
      'mlp, batch 512',
      'mlp, batch 2048',
      'mlp-1024, batch 512',
      'cnn, batch 256',
    ]);
    for (const { batch, steps } of grid) expect(batch * steps).toBeLessThanOrEqual(fiveEpochs);
    for (const training of grid) expect(peerNet(training)).toBeDefined();
    expect(grid.map(({ parameters }) => parameters)).toEqual([101_770, 101_770, 101_770, 101_770, 814_090, 11_274]);
  });

  test('measures perceptrons of large batches when their workers have kept every sample', () => {
    const large = gridOf(nothing).filter(({ model, batch }) => model.name.startsWith('mlp') && batch >= 512);
    expect(large).toHaveLength(3);
    for (const { batch, steps } of large) expect(batch * steps * startUpPart).toBeGreaterThanOrEqual(trainedImages);
  });

  test('is every model at every batch where these are given', () => {
    const grid = gridOf({ ...nothing, model: ['mlp', 'cnn'], batch: [512, 96] });
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
    for (const training of gridOf({ ...nothing, steps: 17, lr: 0.25 })) {
      expect(training).toMatchObject({ steps: 17, learningRate: 0.25 });
    }
  });

  test.each([
    ['tree', /^--model tree: .*got "tree"$/],
    ['/no/such.json', /^--model: expected a file that can be read, got \/no\/such\.json$/],
    [new URL('../package.json', import.meta.url).pathname, /^--model .*package\.json: model/],
  ])('%s is one sentence', (model, message) => {
    expect(() => gridOf({ ...nothing, model: [model] })).toThrow(message);
  });
});

test('peers have a program for a hidden layer of any width, and for nothing like it', () => {
  const model = (layers: readonly object[]) =>
    gridOf({ ...nothing, model: ['mlp'] }).map(
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
  const [training] = gridOf({ ...nothing, model: ['mlp'], batch: [512], steps: 30 });
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
  return { count, sampleShape: [2], samples, targets: { type: 'classes', names: [], labels } } satisfies Dataset;
}

describe('what the runs of a comparison train on', () => {
  test.each([
    [60_000, [64, 2_048], 30_000],
    [60_000, [64, 40_000], 40_000],
    [500, [64], 500],
  ])('of %i samples and batches of %j is the first %i', (count, batches, expected) => {
    const all = dataset(count);
    const data = runDataOf(
      all,
      batches.map((batch) => ({ batch })),
    );
    expect(data).toEqual({
      ...all,
      count: expected,
      samples: all.samples.subarray(0, 2 * expected),
      targets: { ...all.targets, labels: dataset(expected).targets.labels },
    });
  });
});
