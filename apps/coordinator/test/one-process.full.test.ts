/**
 * A table of runs that, with `one-process.test.ts`, covers each pair of features that may interact, and what runs of
 * replicas and of rounded sums send. The rules are tested in the simulator, the library in its own tests.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openRecipes, type Recipe } from './one-process.ts';
import { readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

const { expectSameRun, folder } = await openRecipes();

describe('weights do not depend on who computes', () => {
  it.each<[Recipe, string]>([
    ['mlp', '--single --threads 3'],
    ['mlp', '--colocate --workers 2 --threads 2 --verify-rate 1'],
    ['mlp, rounded', '--single --threads 3'],
    ['mlp, rounded', '--workers 1 --threads 1 --backend reference'],
    ['mlp, rounded', '--colocate --workers 1 --threads 1 --verify-rate 0.5'],
    ['mlp from a file', '--workers 5 --threads 1 --verify-rate 1'],
    ['cnn', '--single --threads 3'],
    ['cnn', '--workers 2 --threads 2'],
    ['frozen', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo, frozen', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['augmented', '--single --threads 3'],
    ['augmented', '--workers 2 --threads 1 --verify-rate 0.5 --verify'],
    ['dropout', '--single --threads 2'],
    ['dropout', '--colocate --workers 1 --threads 2'],
    ['values of a table', '--workers 2 --threads 1'],
    ['classes with weights', '--workers 3 --threads 1'],
    ['weighted replicas', '--workers 2 --threads 1'],
    ['text', '--single --threads 3'],
    ['text', '--colocate --workers 1 --threads 2'],
    ['best text', '--workers 2 --threads 1 --verify'],
    ['DiLoCo, text', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo', '--single --threads 3'],
    ['DiLoCo, augmented', '--workers 2 --threads 1 --verify-rate 0.5'],
    ['DiLoCo, rounded', '--workers 2 --threads 1 --verify-rate 0.5'],
  ])('%s: %s', (recipe, ways) => expectSameRun(recipe, ways.split(' ')));
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
