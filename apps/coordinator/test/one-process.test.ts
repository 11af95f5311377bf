/**
 * Several processes end with the weights of one process: a table of runs that covers each pair of features that may
 * interact. Options that a row does not name have their defaults. The rules are tested in the simulator, the library in
 * its own tests.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initialize, resolveModel, writeModelFile } from '@lockstep/nn';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

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

const mlp = resolveModel('mlp');
/** Smaller than MNIST, to keep the table fast. */
const small = ['--data', await writeFolder(folder, 'small', tinyFiles({ train: 5_600, test: 50 })), '--epochs', '9'];
const fewSamples = [...small, '--batch', '64', '--microbatch', '16', '--steps', '6'];
const initialWeights = file('init.safetensors', writeModelFile(mlp, initialize(mlp, 7)));
const adamw = ['--optimizer', 'adamw', '--schedule', 'cosine', '--warmup', '3', '--clip', '1'];

/** 2,400 characters of a few words in any order. */
const words = ['the whale', 'a sailor', 'sees', 'and', 'the sea', 'was white', '.\n'];
const prose = Array.from({ length: 300 }, (_, index) => words[(index * index + 3 * index) % words.length]).join(' ');
const text = ['--data', file('prose.txt', prose.slice(0, 2_400)), '--model', 'gpt-nano', ...adamw];
const everyTen = [...text, '--batch', '12', '--steps', '24', '--sample-every', '10'];

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));

/** Options that the weights depend on. */
const recipes = {
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
  'DiLoCo, rounded': [...small, '--replicas', '3', '--inner-steps', '5', '--steps', '4', '--gradients', 'fp16-exact'],
} as const;

type Recipe = keyof typeof recipes;

type Ran = Awaited<ReturnType<typeof runToReport>>;

const train = (recipe: Recipe, ways: readonly string[]): Promise<Ran> =>
  runToReport(folder, [...recipes[recipe], ...ways]);

const oracles = new Map<Recipe, Ran>();
async function oracle(recipe: Recipe): Promise<Ran> {
  const ran = oracles.get(recipe) ?? (await train(recipe, ['--single', '--threads', '1']));
  oracles.set(recipe, ran);
  return ran;
}

const checkpoint = (name: string): string[] => ['--checkpoint', join(folder, name), '--checkpoint-every', '2'];

describe('weights do not depend on who computes', () => {
  it.each<[Recipe, string]>([
    ['mlp on MNIST', '--workers 2 --threads 1'],
    ['mlp', '--single --threads 3'],
    ['mlp', '--colocate --workers 2 --threads 2 --verify-rate 1'],
    ['mlp, rounded', '--single --threads 3'],
    ['mlp, rounded', '--workers 2 --threads 2 --verify'],
    ['mlp, rounded', '--workers 1 --threads 1 --backend reference'],
    ['mlp, rounded', '--colocate --workers 1 --threads 1 --verify-rate 0.5'],
    ['mlp from a file', '--workers 5 --threads 1 --verify-rate 1'],
    ['cnn', '--single --threads 3'],
    ['cnn', '--workers 2 --threads 2'],
    ['frozen', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo, frozen', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['augmented', '--single --threads 3'],
    ['augmented', '--workers 2 --threads 1 --verify-rate 0.5 --verify'],
    ['augmented', '--colocate --workers 1 --threads 2'],
    ['dropout', '--single --threads 2'],
    ['dropout', '--colocate --workers 1 --threads 2'],
    ['values of a table', '--workers 2 --threads 1'],
    ['classes with weights', '--workers 3 --threads 1'],
    ['weighted replicas', '--workers 2 --threads 1'],
    ['best epoch', '--workers 3 --threads 1 --verify'],
    ['text', '--single --threads 3'],
    ['text', '--workers 3 --threads 1 --verify-rate 1 --verify'],
    ['text', '--colocate --workers 1 --threads 2'],
    ['best text', '--workers 2 --threads 1 --verify'],
    ['DiLoCo, text', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo', '--single --threads 3'],
    ['DiLoCo', '--workers 3 --threads 2 --verify-rate 0.5'],
    ['DiLoCo, augmented', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo, rounded', '--workers 2 --threads 1 --verify-rate 0.5'],
  ])('%s: %s', async (recipe, given) => {
    const ways = given.split(' ');
    const { report: expected } = await oracle(recipe);
    const { report } = await train(recipe, [...ways, ...checkpoint(`${recipe} ${given}`)]);
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
  });
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

it('rounds of an epoch train, and the last is short', async () => {
  const rounds = ['--replicas', '8', '--inner-steps', '25', '--steps', '19'];
  const { report, stdout } = await runToReport(folder, [...rounds, '--single']);
  expect(stdout).toContain('rounds of 8 replicas x 25 inner steps x 16 samples');
  expect(report.config).toMatchObject({
    batch: 3_200,
    microbatchSize: 400,
    diloco: { replicas: 8, innerSteps: 25, batch: 16, learningRate: 0.02, momentum: 0.9 },
    optimizer: { type: 'momentum', learningRate: 0.7, momentum: 0.9, nesterov: true },
  });
  expect(report.workers[0]!.samples).toBe(60_000);
  expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThan(0.9);
});

/** `--gradients` and rounds of replicas reduce the bytes of a run, and the report says so. */
const vectorBytes = 101_770 * 4;

it.each([
  ['exact', 'leaves out only zeros: fewer bytes and the same bits', 0.7, undefined],
  ['fp16-exact', 'takes no more than half of the bytes', 0.35, 'fp16-exact'],
])('%s %s', async (gradients, _, mostVectors, reported) => {
  // Two workers may get unequal shares: the sum of three microbatches takes two vectors.
  const args = ['--steps', '12', '--batch', '32', '--gradients', gradients, '--verify-rate', '0'];
  // To a worker that the run starts itself, vectors pass through memory, with their zeros.
  const reportFile = join(folder, `${gradients}.json`);
  const coordinator = startCoordinator('coordinator', ['--port', '0', '--report', reportFile, ...args]);
  const [, url] = await coordinator.printed(/--url (ws:\S+)/);
  startWorker(['--url', url!]);
  expect(await coordinator.ended).toMatchObject({ code: 0, stderr: '' });
  const report = readReport(reportFile);
  expect(report.exactness).toBe('bit-exact');
  expect(report.config.gradients).toBe(reported);
  // The answer to the numerics check is sent in full; the remaining bytes are the worker's gradients.
  const vectors = (report.wire.bytesReceived - vectorBytes) / (12 * vectorBytes);
  expect(vectors).toBeLessThan(mostVectors);
});

it('replicas send their vectors once a round, and not once an inner step', async () => {
  const [replicas, rounds, innerSteps] = [2, 3, 10];
  const shape = ['--replicas', `${replicas}`, '--inner-steps', `${innerSteps}`, '--batch', '16'];
  const { report } = await runToReport(folder, [...shape, '--steps', `${rounds}`, '--verify-rate', '0']);
  expect(report.steps).toBe(rounds);
  // Answers to the numerics check and trials add a few vectors to one for each replica and round.
  const vectors = report.wire.bytesReceived / vectorBytes;
  expect(vectors).toBeLessThan((replicas * rounds * innerSteps) / 2);
});
