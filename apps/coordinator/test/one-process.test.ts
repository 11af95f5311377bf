/** Several processes end with the weights of one process; `one-process.full.test.ts` has the whole table. */
import { describe, expect, it } from 'vitest';
import { openRecipes, type Recipe } from './one-process.ts';
import { runToReport } from './processes.ts';

const { expectSameRun, fewSamples, folder, oracle, small, train } = await openRecipes();

describe('weights do not depend on who computes', () => {
  it.each<[Recipe, string]>([
    ['mlp on MNIST', '--workers 2 --threads 1'],
    ['mlp, rounded', '--workers 2 --threads 2 --verify'],
    ['augmented', '--colocate --workers 1 --threads 2'],
    ['best epoch', '--workers 3 --threads 1 --verify'],
    ['text', '--workers 3 --threads 1 --verify-rate 1 --verify'],
    ['DiLoCo', '--workers 3 --threads 2 --verify-rate 0.5'],
  ])('%s: %s', (recipe, ways) => expectSameRun(recipe, ways.split(' ')));
});

describe('they depend', () => {
  it('on the seed and the rounding', async () => {
    const other = await train('mlp', ['--single', '--seed', '2']);
    expect(other.report.weightsSha256).not.toBe((await oracle('mlp')).report.weightsSha256);
    const exact = await runToReport(folder, [...fewSamples, '--single']);
    expect(exact.report.weightsSha256).not.toBe((await oracle('mlp, rounded')).report.weightsSha256);
  });

  it('on the weights of classes', async () => {
    const unweighted = await runToReport(folder, [...small, '--steps', '20', '--single']);
    const { report } = await oracle('classes with weights');
    expect(report.weightsSha256).not.toBe(unweighted.report.weightsSha256);
    expect(report.config.data.targetField).toMatchObject({ classWeights: [1, 1, 1, 2.5, 1, 1, 1, 0, 1, 1] });
  });

  it('on each setting of the inner steps', async () => {
    const hashes = [];
    for (const args of [[], ['--inner-lr', '0.03'], ['--inner-momentum', '0.5'], ['--batch', '8']]) {
      const rounds = [...small, '--replicas', '8', '--inner-steps', '25', '--steps', '2'];
      const { report } = await runToReport(folder, [...rounds, '--single', ...args]);
      hashes.push(report.weightsSha256);
    }
    expect(new Set(hashes).size).toBe(4);
  });
});

it('one process reports each step as one shard of its own, and what was asked for', async () => {
  const { workers, config } = (await oracle('mlp on MNIST')).report;
  expect(workers).toMatchObject([{ kind: 'local', shards: 60, samples: 60 * config.batch }]);
  const { optimizer } = (await oracle('cnn')).report.config;
  const schedule = { type: 'cosine', warmup: 3 };
  expect(optimizer).toMatchObject({ type: 'adamw', clipNorm: 1, schedule });
});

it('the small convolutional net learns as well', async () => {
  const { report } = await runToReport(folder, ['--single', '--model', 'cnn', '--steps', '150']);
  expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.9);
});
