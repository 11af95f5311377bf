/** The built command: mistakes that end it at once, and one small comparison from end to end. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium } from '@lockstep/chromium';
import type { Report } from '@lockstep/train';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import type { CompareReport } from '../src/compare/compare.ts';
import type { predictAndCheck } from '../src/compare/predict.ts';
import type { LockstepRow } from '../src/compare/results.ts';

const benchProgram = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const coordinatorProgram = fileURLToPath(new URL('../../coordinator/dist/main.js', import.meta.url));

/** Many processes start one after another, possibly on a busy machine. */
const timeoutMs = 240_000;

let folder = '';
let data = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-compare-test-'));
  data = await writeFolder(folder, 'data', tinyFiles());
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function run(program: string, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    // Ends before the test times out, so that no process is left running.
    execFile(
      process.execPath,
      [program, ...args],
      { cwd: folder, timeout: timeoutMs - 20_000 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });
}

test('--help goes to stdout and is no failure', async () => {
  const { code, stdout, stderr } = await run(benchProgram, ['compare', '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^npm run compare -- \[options\]\n/);
  expect(stdout).toContain('--predict');
});

test.each([
  [['--rounds', 'many'], '--rounds: expected a whole number from 1 to 100, got many'],
  [
    ['--model', 'tree'],
    '--model tree: expected mlp, cnn, cnn-large, gpt, gpt-nano, names, or JSON with a list of layers, got "tree"',
  ],
  [['--data', '.', '--model', 'mlp'], /^lockstep: --data: .*\n$/],
  [
    ['--html', '/no/such/folder/c.html'],
    '--html: /no/such/folder/c.html: cannot use the folder /no/such/folder: no such file or folder',
  ],
  [['--predict', '--workers', '3', '--speeds', '1,2'], '--speeds: expected one for each of 3 workers, got 2'],
  [['--batch', '70000'], '--batch: expected at most the 60000 samples of the training set, got 70000'],
])('%j is one sentence on stderr and exit code 2, with nothing measured', async (args, message) => {
  const before = await readdir(folder);
  const { code, stdout, stderr } = await run(benchProgram, ['compare', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  if (typeof message === 'string') expect(stderr).toBe(`lockstep: ${message}\n`);
  else expect(stderr).toMatch(message);
  expect(await readdir(folder)).toEqual(before);
});

const cores = availableParallelism();
const threadRows = ['1 thread', ...(cores > 1 ? [`${cores} threads`] : [])];

describe('a small comparison', { timeout: timeoutMs }, () => {
  test('measures every row on equal work, and its weights are those of the command that it names', async () => {
    const args = ['--model', 'mlp', '--batch', '32', '--steps', '12', '--rounds', '1', '--workers', '2', '--no-peers'];
    const files = ['--data', data, '--report', 'compare.json', '--html', 'page.html'];
    const tabs = findChromium() === undefined ? [] : ['--browser'];
    const { code, stdout, stderr } = await run(benchProgram, ['compare', ...args, ...tabs, ...files]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(await readFile(join(folder, 'compare.json'), 'utf8')) as CompareReport;
    expect(report).toMatchObject({ compare: 1, rounds: 1, accuracy: 0.8 });
    expect(report.results).toHaveLength(1);
    const [result] = report.results;
    expect(result).toMatchObject({ sameWeights: true, curveDistance: 0 });
    const rows = result!.rows as readonly LockstepRow[];
    const others = ['2 processes', '1 worker', '2 workers', ...(tabs.length > 0 ? ['1 tab', '2 tabs'] : [])];
    expect(rows.map(({ name }) => name)).toEqual([...threadRows, ...others]);
    for (const { msPerStep, parts, curve, workers, bytesPerStep } of rows) {
      expect(msPerStep.min).toBeGreaterThan(0);
      expect(parts).not.toBeNull();
      expect(curve.at(-1)?.steps).toBe(12);
      if (workers.kind === 'threads') expect(bytesPerStep).toBe(0);
      // Images, weights and gradients are all sent.
      else expect(bytesPerStep).toBeGreaterThan(32 * 784 * 2);
    }
    for (const line of report.conclusion) expect(stdout).toContain(line);
    expect(await readFile(join(folder, 'page.html'), 'utf8')).toMatch(/^<!doctype html>/);

    const command = rows[0]!.command.replace('npm start -- ', '').split(' ');
    await run(coordinatorProgram, ['start', ...command, '--report', 'single.json']);
    const single = JSON.parse(await readFile(join(folder, 'single.json'), 'utf8')) as Report;
    expect(single.steps).toBe(12);
    for (const { weightsSha256 } of rows) expect(weightsSha256).toBe(single.weightsSha256);
    expect(single.curve.map(({ loss }) => loss)).toEqual(rows[0]!.curve.map(({ loss }) => loss));
  });

  test('predicts, and shows how far off it is', async () => {
    const args = ['--predict', '--model', 'mlp', '--batch', '32', '--steps', '12', '--rounds', '1', '--workers', '3'];
    const files = ['--data', data, '--report', 'predict.json', '--link', '100Mbit/s', '--latency', '2ms'];
    const { code, stdout, stderr } = await run(benchProgram, ['compare', ...args, ...files]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const text = await readFile(join(folder, 'predict.json'), 'utf8');
    const report = JSON.parse(text) as Awaited<ReturnType<typeof predictAndCheck>>;
    const [training] = report.trainings;
    expect(training!.checks.map(({ workers }) => workers)).toEqual([1, 2, 4]);
    expect(training!.asked.workers).toBe(3);
    // With two microbatches, two of the three workers have work: their bytes over 12.5 MB/s, plus 2 ms twice.
    const { weightBytes, gradientBytes } = training!.costs;
    expect(training!.asked.linkMs).toBeCloseTo((2 * (weightBytes + gradientBytes) * 1000) / 12.5e6 + 4, 6);
    expect(stdout).toContain(training!.message);
    expect(await readdir(folder)).not.toContain('compare.html');
  });
});
