/** `--init`: a run starts from the weights of a file. `one-process.test.ts` has it with several workers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initialize, parseModel, resolveModel, writeModelFile, writeSafetensors } from '@lockstep/nn';
import type { Report } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { expectRefused, runToReport } from './processes.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const trained = place('trained.safetensors');
const mlp = resolveModel('mlp');
const steps = ['--steps', '5'];
let tiny: string[] = [];
let first: Report;

const run = async (...args: string[]) => runToReport(folder, [...tiny, ...steps, ...args]);

beforeAll(async () => {
  tiny = await tinyArgs(folder);
  writeFileSync(place('drawn'), writeModelFile(mlp, initialize(mlp, 1)));
  first = (await run('--single', '--save', trained)).report;
});

describe('--init', () => {
  it('goes on from the weights of a file, and the report says what they were', async () => {
    const { stdout, report: single } = await run('--single', '--verify', '--init', trained);
    expect(stdout).toContain(`101,770 parameters, from weights ${first.weightsSha256.slice(0, 16)}…:`);
    expect(single.config.initSha256).toBe(first.weightsSha256);
    expect(single.initialLoss).toBeLessThan(first.initialLoss!);
    expect(single.weightsSha256).not.toBe(first.weightsSha256);
  });

  it('of the weights that the seed draws is the run without it', async () => {
    const { report } = await run('--single', '--init', place('drawn'));
    expect(report.weightsSha256).toBe(first.weightsSha256);
  });

  it('is part of what a checkpoint must fit', async () => {
    const args = ['--single', '--checkpoint', place('checkpoints')];
    await run(...args, '--init', trained);
    const again = await run(...args, '--init', trained, '--resume');
    expect(again.stdout).toContain('holds the end of this run: all steps have been taken.');
    const without = await run(...args, '--resume');
    expect(without.stdout).toMatch(/Skipped .*: it belongs to another run: expected initSha256 none, got [0-9a-f]+/);
    expect(without.report.weightsSha256).toBe(first.weightsSha256);
    const other = await run(...args, '--init', place('drawn'), '--resume');
    expect(other.stdout).toMatch(/Skipped .*: expected initSha256 [0-9a-f]+…, got none\./);
  });
});

describe('a file that --init cannot take ends with one sentence, exit code 2', () => {
  const dense = (units: number) => ({ type: 'dense', units });
  const wide = parseModel({ ...mlp, layers: [dense(64), { type: 'relu' }, dense(10)] });
  const cnn = resolveModel('cnn');
  const nan = initialize(mlp, 1).fill(Number.NaN, 5, 6);
  it.each<[what: string, bytes: Uint8Array, message: RegExp]>([
    [
      'another model',
      writeModelFile(cnn, initialize(cnn, 1)),
      /model file: expected an input of \[784\], got \[28, 28, 1\]/,
    ],
    [
      'other sizes',
      writeModelFile(wide, initialize(wide, 1)),
      /model file: expected layers\[0\] \{"type":"dense","units":128\}, got \{"type":"dense","units":64\}/,
    ],
    [
      'other sizes and no layer list',
      writeSafetensors({ tensors: [{ name: '0.weight', shape: [1], values: new Float32Array(1) }], metadata: {} }),
      /model mlp: 0\.weight: expected \[128, 784\], got \[1\]/,
    ],
    [
      'weights that are not finite',
      writeModelFile(mlp, nan),
      /expected finite weights to go on from, got NaN among them/,
    ],
    ['half a file', writeModelFile(mlp, nan).subarray(0, 5_000), /safetensors: expected \d+ bytes of data, got \d+/],
  ])('%s', async (what, bytes, message) => {
    const file = place(what);
    writeFileSync(file, bytes);
    await expectRefused(
      'coordinator',
      ['start', ...tiny, '--init', file],
      new RegExp(`^lockstep: --init .*${message.source}`),
    );
  });

  it('nothing there', async () => {
    const message = /^lockstep: --init: .*none: no such file or folder\n$/;
    await expectRefused('coordinator', ['start', ...tiny, '--init', place('none')], message);
  });
});
