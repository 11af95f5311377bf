/** Parts of a data set, written as the files of a run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sampleSize, targetValues } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { writeMnistFiles } from '../src/workloads/mnist-files.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-mnist-files-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('they are read back as the first samples', async () => {
  const { train } = await loadMnist(await writeFolder(folder, 'tiny', tinyFiles()));
  await writeMnistFiles(train, { trainCount: 40, testCount: 7 }, folder);
  const read = await loadMnist(folder);
  const size = sampleSize(train);
  for (const [part, count] of [
    [read.train, 40],
    [read.test, 7],
  ] as const) {
    expect(part).toMatchObject({ count, sampleShape: train.sampleShape });
    expect(part.samples).toEqual(train.samples.subarray(0, count * size));
    expect(targetValues(part.targets)).toEqual(targetValues(train.targets).subarray(0, count));
  }
});
