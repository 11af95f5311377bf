/** One small comparison by the built command, from end to end. */
import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium } from '@lockstep/chromium';
import type { Report } from '@lockstep/train';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import type { CompareReport } from '../src/compare/compare.ts';
import type { predictAndCheck } from '../src/compare/predict.ts';
import type { LockstepRow } from '../src/compare/results.ts';
import { benchProgram, run, timeoutMs } from './run-program.ts';

const coordinatorProgram = fileURLToPath(new URL('../../coordinator/dist/main.js', import.meta.url));

const folder = temporaryFolder();
const data = await writeFolder(folder, 'data', tinyFiles());

const cores = availableParallelism();
const threadRows = ['1 thread', ...(cores > 1 ? [`${cores} threads`] : [])];

describe('a small comparison', { timeout: timeoutMs }, () => {
  test('measures every row on equal work, and its weights are those of the command that it names', async () => {
    const args = ['--model', 'mlp', '--batch', '32', '--steps', '12', '--rounds', '1', '--workers', '2', '--no-peers'];
    const files = ['--data', data, '--report', 'compare.json', '--html', 'page.html'];
    const tabs = findChromium() === undefined ? [] : ['--browser'];
    const { code, stdout, stderr } = await run(folder, benchProgram, ['compare', ...args, ...tabs, ...files]);
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
    await run(folder, coordinatorProgram, ['start', ...command, '--report', 'single.json']);
    const single = JSON.parse(await readFile(join(folder, 'single.json'), 'utf8')) as Report;
    expect(single.steps).toBe(12);
    for (const { weightsSha256 } of rows) expect(weightsSha256).toBe(single.weightsSha256);
    expect(single.curve.map(({ loss }) => loss)).toEqual(rows[0]!.curve.map(({ loss }) => loss));
  });

  test('predicts, and shows how far off it is', async () => {
    const args = ['--predict', '--model', 'mlp', '--batch', '32', '--steps', '12', '--rounds', '1', '--workers', '3'];
    const files = ['--data', data, '--report', 'predict.json', '--link', '100Mbit/s', '--latency', '2ms'];
    const { code, stdout, stderr } = await run(folder, benchProgram, ['compare', ...args, ...files]);
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
