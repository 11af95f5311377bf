/** Every kind of data gives one model, whoever computes: a process alone, or one or three workers over sockets. */
import type { Dataset } from '@lockstep/data';
import { join } from '@lockstep/worker';
import { describe, expect, it } from 'vitest';
import { loadModel, type TrainOptions, train } from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { kindsOfData } from './kinds-of-data.ts';
import { openTestServer } from './test-server.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';

const folder = temporaryFolder();
const common: TrainOptions = { batch: 60, epochs: 8, optimizer: 'adam' };

async function runAlone(options: TrainOptions) {
  return train({ ...common, ...options }).result;
}

const kinds = Object.entries(kindsOfData).map(([name, { model, ...data }]) => ({ name, model, data }));

describe.each(kinds)('$name', ({ model, data }) => {
  it('gives the weights of one process, for any number of workers', async () => {
    const alone = await runAlone({ model, data });
    expect(alone.outcome).toBe('finished');
    const last = alone.report.epochs.at(-1)!;
    if (data.train.targets.type === 'classes') {
      expect(last.testAccuracy).toBeGreaterThan(0.9);
      expect(last.testR2).toBeNull();
    } else {
      expect(last).toMatchObject({ trainAccuracy: null, testAccuracy: null });
      expect(last.testR2).toBeGreaterThan(0.5);
      expect(alone.report.curve.every(({ accuracy }) => accuracy === null)).toBe(true);
    }
    for (const workers of [1, 3]) {
      const server = await openTestServer({ args: { ...common, model, data, listen: {} }, startWorkers: workers });
      const joined = Array.from({ length: workers }, () => join(server.url, { threads: 1 }));
      expect(await server.outcome).toEqual({ type: 'finished' });
      const { exactness, weightsSha256 } = server.report();
      expect({ exactness, weightsSha256 }).toEqual({
        exactness: 'bit-exact',
        weightsSha256: alone.report.weightsSha256,
      });
      await server.close();
      await Promise.all(joined.map(({ done }) => done));
    }
  });

  it('is used as it was trained, with the names of its outputs', async () => {
    const result = await runAlone({ model, data });
    const { report } = result;
    const loaded = await loadModel(result.modelFile());
    result.model.dispose();
    const { test } = data;
    const last = report.epochs.at(-1)!;
    const { loss, accuracy, r2 } = await loaded.evaluate(test);
    expect({ loss, accuracy, r2 }).toEqual({ loss: last.testLoss, accuracy: last.testAccuracy, r2: last.testR2 });
    const { type, names } = test.targets;
    expect(type === 'classes' ? loaded.classes : loaded.values).toEqual(names);
    expect(loaded.sampleShape).toEqual(test.sampleShape);
    const found = type === 'classes' ? await loaded.predict(test.samples) : await loaded.predictValues(test.samples);
    expect(found).toHaveLength(test.count);
    loaded.dispose();
  });
});

describe.each([2, 3, 10])('IDX files of %i classes', (classes) => {
  const layers = [{ type: 'dense', units: classes }];
  it.each<[string, TrainOptions['model']]>([
    ['the model of the recipe', undefined],
    ['a convolutional net', 'cnn'],
    ['a layer list', JSON.stringify({ name: 'own', input: [784], layers })],
  ])('train %s with as many outputs', async (_, model) => {
    const files = [...tinyFiles()].map(([name, bytes]): [string, Uint8Array] => [
      name,
      name.includes('labels') ? bytes.map((byte, at) => (at < 8 ? byte : byte % classes)) : bytes,
    ]);
    const data = await writeFolder(folder, `of ${classes}`, new Map(files));
    const { report, model: trained } = await train({ data, model, steps: 1 }).result;
    expect(trained.classes).toEqual([...'0123456789'].slice(0, classes));
    expect(report.epochs).toHaveLength(1);
    trained.dispose();
  });
});

describe('a run is refused before it begins', () => {
  const { train: rows, test } = kindsOfData['a table with classes'];
  const spoiled = (): Dataset => {
    const samples = rows.samples.slice();
    samples[42] = Number.NaN;
    return { ...rows, samples };
  };
  const renamed = (data: Dataset, names: readonly string[]): Dataset => ({
    ...data,
    targets: { ...data.targets, names },
  });
  const refusals: [string, TrainOptions, string][] = [
    [
      'for a number that is not finite',
      { data: { train: spoiled(), test } },
      'data: the training set: expected finite numbers, got NaN as value 2 of sample 10',
    ],
    [
      'for a test set of another kind',
      { data: { train: rows, test: kindsOfData['a table with values'].test } },
      'data: the test set: expected f32 samples of 4 and 3 classes, as in the training set, got f32 samples of 3 and 2 values',
    ],
    [
      'for classes that the test set numbers in another way',
      { data: { train: rows, test: renamed(test, ['setosa', 'virginica', 'versicolor']) } },
      'data: the test set: expected "versicolor" as class 1, as in the training set, got "virginica": give both the same names in one order',
    ],
    [
      'for a built-in model that cannot take the samples',
      { data: { train: rows, test }, model: 'cnn' },
      'model: model cnn: expected samples of [height, width, channels], got [4]',
    ],
    [
      'for a layer list of another input',
      { data: { train: rows, test }, model: '{"name":"x","input":[5],"layers":[{"type":"dense","units":3}]}' },
      'model: expected an input of 4 values, as the samples have, got 5',
    ],
    [
      'for a layer list of other outputs',
      { data: { train: rows, test }, model: '{"name":"x","input":[4],"layers":[{"type":"dense","units":2}]}' },
      'model: expected 3 outputs, one for each class, got 2',
    ],
  ];
  it.each(refusals)('%s', async (_, options, message) => {
    await expect(train(options).result).rejects.toThrow(message);
  });
});
