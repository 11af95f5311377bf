/** Runs of several processes, each compared with the same run in one process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initialize, resolveModel, writeModelFile } from '@lockstep/nn';
import { expect } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { runToReport } from './processes.ts';

/** The dropout mask depends on the seed, the step and the sample, not on the worker. */
const dropping = {
  name: 'dropping',
  input: [784],
  layers: [
    { type: 'dropout', rate: 0.2 },
    { type: 'dense', units: 32 },
    { type: 'gelu' },
    { type: 'dropout', rate: 0.5 },
    { type: 'dense', units: 10 },
  ],
};

const adamw = ['--optimizer', 'adamw', '--schedule', 'cosine', '--warmup', '3', '--clip', '1'];

/** 2,400 characters of a few words in any order. */
const words = ['the whale', 'a sailor', 'sees', 'and', 'the sea', 'was white', '.\n'];
const prose = Array.from({ length: 300 }, (_, index) => words[(index * index + 3 * index) % words.length]).join(' ');

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));

/** Writes the files of the recipes. */
async function recipesIn(folder: string) {
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  /** Smaller than MNIST, to keep the table fast. */
  const small = ['--data', await writeFolder(folder, 'small', tinyFiles({ train: 5_600, test: 50 })), '--epochs', '9'];
  const fewSamples = [...small, '--batch', '64', '--microbatch', '16', '--steps', '6'];
  const mlp = resolveModel('mlp');
  const initialWeights = file('init.safetensors', writeModelFile(mlp, initialize(mlp, 7)));

  const text = ['--data', file('prose.txt', prose.slice(0, 2_400)), '--model', 'gpt-nano', ...adamw];
  const everyTen = [...text, '--batch', '12', '--steps', '24', '--sample-every', '10'];
  return {
    small,
    fewSamples,
    /** Options that the weights depend on. */
    recipes: {
      'mlp on MNIST': ['--steps', '60'],
      mlp: [...small, '--steps', '40'],
      // Few samples, since the reference backend is slow; four microbatches, so that sums are rounded at two levels.
      'mlp, rounded': [...fewSamples, '--gradients', 'fp16-exact'],
      'mlp from a file': [...small, '--steps', '12', '--init', initialWeights],
      cnn: [...small, '--model', 'cnn', '--steps', '6', ...adamw],
      frozen: [...small, '--model', 'cnn', '--steps', '6', '--freeze', '1', ...adamw],
      'DiLoCo, frozen': [...small, '--replicas', '3', '--inner-steps', '5', '--steps', '4', '--freeze', '1'],
      augmented: [...small, '--model', 'cnn', '--steps', '6', '--augment', 'shift,rotate,brightness'],
      dropout: [...small, '--model', file('dropping.json', JSON.stringify(dropping)), '--steps', '20', ...adamw],
      'values of a table': ['--data', iris, '--task', 'regression', '--label', 'petal_width', '--steps', '20'],
      'classes with weights': [
        ...[...small, '--steps', '20'],
        ...['--class-weights', file('weights.csv', 'class,weight\n3,2.5\n7,0\n')],
      ],
      'weighted replicas': [
        ...[...small, '--replicas', '4', '--inner-steps', '5', '--steps', '4'],
        ...['--class-weights', 'balanced'],
      ],
      text: [...everyTen, '--prompt', 'the '],
      'best text': [...everyTen, '--keep', 'best', '--monitor', 'perplexity'],
      'DiLoCo, text': [
        ...[...text, '--replicas', '3', '--inner-steps', '2', '--batch', '4'],
        ...['--steps', '6', '--sample-every', '2'],
      ],
      'best epoch': ['--data', iris, '--epochs', '15', '--lr', '0.3', '--keep', 'best', '--validation', '0.2'],
      // 3,200 samples in the first round of an epoch, and 2,400 in the last.
      DiLoCo: [...small, '--replicas', '8', '--inner-steps', '25', '--steps', '4'],
      'DiLoCo, augmented': [...small, '--replicas', '3', '--inner-steps', '5', '--steps', '4', '--augment', 'zoom'],
      'DiLoCo, rounded': [
        ...[...small, '--replicas', '3', '--inner-steps', '5'],
        ...['--steps', '4', '--gradients', 'fp16-exact'],
      ],
    },
  } as const;
}

type Ran = Awaited<ReturnType<typeof runToReport>>;
export type Recipe = keyof Awaited<ReturnType<typeof recipesIn>>['recipes'];

/** Opens the recipes for the tests of one file. */
export async function openRecipes() {
  const folder = temporaryFolder();
  const { recipes, small, fewSamples } = await recipesIn(folder);
  const train = (recipe: Recipe, ways: readonly string[]): Promise<Ran> =>
    runToReport(folder, [...recipes[recipe], ...ways]);

  const oracles = new Map<Recipe, Ran>();
  const oracle = async (recipe: Recipe): Promise<Ran> => {
    const ran = oracles.get(recipe) ?? (await train(recipe, ['--single', '--threads', '1']));
    oracles.set(recipe, ran);
    return ran;
  };

  /** Expects a run of a recipe by other processes or threads to be that of one process. */
  const expectSameRun = async (recipe: Recipe, ways: readonly string[]): Promise<void> => {
    const { report: expected } = await oracle(recipe);
    const checkpoints = ['--checkpoint', join(folder, `${recipe} ${ways.join(' ')}`), '--checkpoint-every', '2'];
    const { report } = await train(recipe, [...ways, ...checkpoints]);
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report.initialLoss).toBe(expected.initialLoss);
    expect(report.kept).toEqual(expected.kept);
    expect(report.samples).toEqual(expected.samples);
    expect(report.exactness).toBe('bit-exact');
    expect(report.faults).toMatchObject({ rejected: 0, disconnects: 0, quarantined: 0 });
    expect(report.verified).toBe(ways.includes('--verify') ? true : null);
    expect(report.config.gradients).toBe(
      recipes[recipe].some((word) => word === 'fp16-exact') ? 'fp16-exact' : undefined,
    );
    const started = ways.includes('--single') ? 1 : Number(ways[ways.indexOf('--workers') + 1]);
    const isColocated = ways.includes('--colocate');
    expect(report.workers).toHaveLength(started + (isColocated ? 1 : 0));
    const samples = report.workers.reduce((sum, worker) => sum + worker.samples, 0);
    expect(samples).toBe(expected.workers.reduce((sum, worker) => sum + worker.samples, 0));
    const own = report.workers.find(({ name }) => name === 'coordinator');
    expect([own?.kind, (own?.shards ?? 0) > 0]).toEqual(isColocated ? ['local', true] : [undefined, false]);
  };
  return { folder, small, fewSamples, train, oracle, expectSameRun };
}
