/** Runs on a user's own data: a table, and a folder of pictures. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDataset } from '@lockstep/data/node';
import { loadModel } from '@lockstep/train';
import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport } from './processes.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const goldens = new URL('../../../packages/data/goldens/', import.meta.url);

beforeAll(() => {
  for (const [label, file] of Object.entries({ color: 'color-6x4.png', gray: 'gray-as-color-6x4.png' })) {
    mkdirSync(place(`pictures/${label}`), { recursive: true });
    const bytes = readFileSync(new URL(file, goldens));
    for (const name of ['1.png', '2.png', '3.png']) writeFileSync(place(`pictures/${label}/${name}`), bytes);
  }
});

it.each([
  [
    'a table',
    'mlp',
    () => ['--data', iris, '--lr', '0.01'],
    'iris.csv: 150 rows, 4 numbers each, 3 classes (setosa, versicolor, virginica) in column species; ' +
      '120 to train, 30 to test (split by seed 3)',
  ],
  [
    'values of a table',
    'mlp',
    () => ['--data', iris, '--task', 'regression', '--label', 'petal_width', '--ignore', 'species', '--lr', '0.01'],
    'iris.csv: 150 rows, 3 numbers each, values from 0.1 to 2.5 in column petal_width; 120 to train, 30 to test (split by seed 3)',
  ],
  [
    'pictures',
    'cnn',
    () => ['--data', place('pictures')],
    'pictures: 6 pictures, 2 classes (color, gray), 6 x 4, color; 4 to train, 2 to test (split by seed 3)',
  ],
])('a run on %s says what it found, and saves how to read more', async (_, name, args, found) => {
  const given = [...args(), '--seed', '3', '--steps', '20', '--save', place('model.safetensors')];
  const { stdout, report } = await runToReport(folder, [...given, '--single']);
  expect(stdout).toContain(`${found}\n`);
  expect(report.model.name).toBe(name);

  const model = await loadModel(place('model.safetensors'));
  const values = { task: 'regression', label: 'petal_width', ignore: ['species'] } as const;
  const options = { ...(model.values.length > 0 && values), seed: model.seed };
  const { test, reading } = await openDataset(args()[1]!, options);
  expect(model.reading).toEqual(reading);
  const { testLoss } = report.epochs.at(-1)!;
  expect((await model.evaluate(test)).loss).toBe(testLoss);
  model.dispose();
});
