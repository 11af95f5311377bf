import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCoordinator } from './processes.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
  writeFileSync(join(folder, 'dropping.json'), JSON.stringify(dropping));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** What it drops at random depends on the seed, the step and the sample, and on nobody who computes. */
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

const recipe = ['--optimizer', 'adamw', '--schedule', 'cosine', '--warmup', '3', '--clip', '1', '--port', '0'];

async function train(name: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `${name}.report.json`);
  const { code, stderr } = await startCoordinator('start', [...recipe, '--report', file, ...args]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

describe('the weights do not depend on who helped', () => {
  test.each([
    ['cnn', 'cnn', '6'],
    ['a model with dropout', 'dropping.json', '20'],
  ])('for %s', async (_, name, steps) => {
    const model = name.endsWith('.json') ? join(folder, name) : name;
    const args = ['--model', model, '--steps', steps];
    const single = await train(`${name}-single`, [...args, '--single']);
    const workers = await train(`${name}-workers`, [...args, '--workers', '2']);
    const threads = await train(`${name}-threads`, [...args, '--workers', '1', '--threads', '2']);
    expect(workers.weightsSha256).toBe(single.weightsSha256);
    expect(threads.weightsSha256).toBe(single.weightsSha256);
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
});
