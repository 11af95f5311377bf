import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport, startCoordinator } from './processes.ts';

const folder = temporaryFolder();

/** What it drops at random depends on the seed, the step and the sample, not on the worker. */
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

const droppingFile = join(folder, 'dropping.json');
writeFileSync(droppingFile, JSON.stringify(dropping));

const recipe = ['--optimizer', 'adamw', '--schedule', 'cosine', '--warmup', '3', '--clip', '1'];

async function train(args: readonly string[]): Promise<Report> {
  return (await runToReport(folder, [...recipe, ...args])).report;
}

describe('the weights do not depend on the workers', () => {
  test.each([
    ['cnn', 'cnn', '6'],
    ['a model with dropout', droppingFile, '20'],
  ])('for %s', async (_name, model, steps) => {
    const args = ['--model', model, '--steps', steps];
    const single = await train([...args, '--single', '--threads', '1']);
    for (const others of [
      ['--single', '--threads', '2'],
      ['--single', '--threads', '3'],
      ['--workers', '2'],
      ['--workers', '2', '--threads', '2'],
    ]) {
      expect((await train([...args, ...others])).weightsSha256).toBe(single.weightsSha256);
    }
    expect(single.config.optimizer).toMatchObject({
      type: 'adamw',
      clipNorm: 1,
      schedule: { type: 'cosine', warmup: 3 },
    });
  });
});

describe('--summary', () => {
  test('shows the layers and trains nothing', async () => {
    const { code, stdout, stderr } = await startCoordinator('start', ['--summary', '--model', 'cnn']).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Total: 11,274 parameters');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^Total:/);
  });

  test('shows the model as it is for the data', async () => {
    const { code, stdout } = await startCoordinator('start', ['--summary', '--data', 'docs/iris.csv']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^iris\.csv: 150 rows/);
    expect(stdout).toContain('Total: 1,027 parameters');
  });
});
