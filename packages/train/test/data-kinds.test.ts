/** Every kind of data is learned, and its model is used as it was trained; what does not fit is refused. */
import { type Dataset, samplesOf, valueTargets } from '@lockstep/data';
import { datasetFromTable, parseDelimited } from '@lockstep/data/readers';
import { randomStream } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { loadModel, type TrainOptions, train } from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { kindsOfData } from './kinds-of-data.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';

const folder = temporaryFolder();

const kinds = Object.entries(kindsOfData).map(([name, { model, ...data }]) => ({ name, model, data }));

it.each(kinds)('$name: the model learns, and is used as it was trained', async ({ model, data }) => {
  const { test } = data;
  const { role, names } = test.targets;
  const result = await train({ batch: 60, epochs: model === 'cnn' ? 5 : 8, optimizer: 'adam', model, data }).result;
  const { epochs, curve } = result.report;
  const last = epochs.at(-1)!;
  if (role === 'index') {
    expect(last.testAccuracy).toBeGreaterThan(0.9);
    expect(last.testR2).toBeNull();
  } else {
    expect(last).toMatchObject({ trainAccuracy: null, testAccuracy: null });
    expect(last.testR2).toBeGreaterThan(0.5);
    expect(curve.every(({ accuracy }) => accuracy === null)).toBe(true);
  }
  result.model.dispose();
  const loaded = await loadModel(result.modelFile());
  const { loss, accuracy, r2 } = await loaded.evaluate(test);
  expect({ loss, accuracy, r2 }).toEqual({ loss: last.testLoss, accuracy: last.testAccuracy, r2: last.testR2 });
  expect(role === 'index' ? loaded.classes : loaded.values).toEqual(names);
  expect(loaded.samples.shape).toEqual(test.samples.shape);
  const { values } = test.samples;
  const found = role === 'index' ? await loaded.predict(values) : await loaded.predictValues(values);
  expect(found).toHaveLength(test.count);
  if (test.samples.role === 'index') {
    const beyond = test.samples.values.slice().fill(test.samples.tokens);
    await expect(loaded.predict(beyond)).rejects.toThrow(
      /^predict: expected tokens below \d+, as the model knows, got \d+$/,
    );
  }
  loaded.dispose();
});

const random = randomStream(5);
const rows = Array.from({ length: 200 }, () => {
  const rooms = 1 + Math.floor(6 * random());
  const area = 20 + 18 * rooms + 40 * random();
  return `${rooms}\t${area}\t${40_000 + 2600 * area + 15_000 * rooms}`;
});
const bytes = new TextEncoder().encode(`rooms\tarea\tprice\n${rows.join('\n')}\n`);
const prices = datasetFromTable(parseDelimited(bytes, 'prices.tsv'), { task: 'regression', label: 'price' });

it('values in the hundreds of thousands are learned with the defaults, and given and measured in their unit', async () => {
  const result = await train({ data: prices }).result;
  const { report } = result;
  const { testR2, testRmse, testLoss } = report.epochs.at(-1)!;
  expect(testR2).toBeGreaterThan(0.98);
  const { targets, samples, count } = prices.test;
  if (targets.role !== 'value') throw new Error('expected values');
  const { mean, deviation } = targets.standardization!;
  expect(report.config.data.standardization).toEqual({ mean, deviation });
  expect(testRmse).toBeCloseTo(Math.sqrt(testLoss) * deviation, 6);

  const model = await loadModel(result.modelFile());
  result.model.dispose();
  const given = targets.values.map((value) => value * deviation + mean);
  const predicted = await model.predictValues(samples.values);
  const squares = predicted.reduce((sum, [value], index) => sum + (value! - given[index]!) ** 2, 0);
  expect(Math.sqrt(squares / count) / testRmse!).toBeCloseTo(1, 3);
  // Values in the user's unit are evaluated like those that the reader standardized.
  const inUnits = await model.evaluate({ samples, count, targets: valueTargets(given, targets.names) });
  const standardized = await model.evaluate(prices.test);
  expect(standardized.rmse).toBe(testRmse);
  expect(inUnits.rmse! / testRmse!).toBeCloseTo(1, 3);
  expect(inUnits.r2).toBeCloseTo(testR2!, 4);
  model.dispose();
});

it.each([2, 3, 10])('IDX files of %i classes train any model with as many outputs', async (classes) => {
  const files = [...tinyFiles()].map(([name, bytes]): [string, Uint8Array] => [
    name,
    name.includes('labels') ? bytes.map((byte, at) => (at < 8 ? byte : byte % classes)) : bytes,
  ]);
  const data = await writeFolder(folder, `of ${classes}`, new Map(files));
  const layers = { name: 'own', input: [784], layers: [{ type: 'dense', units: classes }] };
  for (const model of [undefined, 'cnn', JSON.stringify(layers)]) {
    const { report, model: trained } = await train({ data, steps: 1, ...(model !== undefined && { model }) }).result;
    expect(trained.classes).toEqual([...'0123456789'].slice(0, classes));
    expect(report.epochs).toHaveLength(1);
    trained.dispose();
  }
});

describe('a run is refused before it begins', () => {
  const { train: rows, test } = kindsOfData['a table with classes'];
  const values = kindsOfData['a table with values'].test;
  const spoiled = (): Dataset => ({
    ...rows,
    samples: samplesOf(Float32Array.from(rows.samples.values).fill(Number.NaN, 42, 43), rows.samples.shape),
  });
  const names = ['setosa', 'virginica', 'versicolor'];
  const layers = (inputs: number, units: number): string =>
    JSON.stringify({ name: 'x', input: [inputs], layers: [{ type: 'dense', units }] });

  it.each<[what: string, TrainOptions, message: string]>([
    [
      'for a number that is not finite',
      { data: { train: spoiled(), test } },
      'data: the training set: expected finite numbers, got NaN as value 2 of sample 10',
    ],
    [
      'for a test set of another kind',
      { data: { train: rows, test: values } },
      'data: the test set: expected f32 samples of 4 and 3 classes, as in the training set, got f32 samples of 3 and 2 values',
    ],
    [
      'for classes that the test set numbers in another way',
      { data: { train: rows, test: { ...test, targets: { ...test.targets, names } } } },
      'data: the test set: expected "versicolor" as class 1, as in the training set, got "virginica": give both the same names in one order',
    ],
    [
      'for a built-in model that cannot take the samples',
      { model: 'cnn' },
      'model: expected samples of [height, width, channels], got [4]',
    ],
    [
      'for a layer list of another input',
      { model: layers(5, 3) },
      'model: expected an input of 4 values, as the samples have, got 5',
    ],
    [
      'for a layer list of other outputs',
      { model: layers(4, 2) },
      'model: expected 3 outputs, one for each class, got 2',
    ],
  ])('%s', async (_, options, message) => {
    await expect(train({ data: { train: rows, test }, ...options }).result).rejects.toThrow(message);
  });
});
