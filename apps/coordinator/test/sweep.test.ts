/** `--sweep`, `--seeds` and `--folds`: the table, the report, and refusals. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SweepReport } from '@lockstep/train';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runInside } from './processes.ts';

const folder = temporaryFolder();
const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const short = ['--data', iris, '--epochs', '2'];

it('folds have a mean and a deviation', async () => {
  const { code, stdout } = await runInside('coordinator', ['start', ...short, '--folds', '3', '--single']);
  expect(code).toBe(0);
  expect(stdout.match(/^Training mlp.*: 2 epochs of 100 samples/gm)).toHaveLength(3);
  expect(stdout).toMatch(/^runs +test loss\n +3 +\d\.\d+ ± \d\.\d+$/m);
});

it('a run that diverges is a row, and the next one follows; if all diverge, the exit code is 1', async () => {
  const [file, none] = [join(folder, 'diverged.json'), join(folder, 'none.json')];
  const args = ['start', ...short, '--single', '--sweep'];
  const { code, stdout, stderr } = await runInside('coordinator', [...args, 'lr=1e30,0.1', '--report', file]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^step \d+: the .* is not finite/m);
  expect(stdout).toMatch(/^1e\+30 +1 +diverged/m);
  expect(stdout).toContain('Best by test loss: lr 0.1\n');
  const { rows } = JSON.parse(readFileSync(file, 'utf8')) as SweepReport;
  expect(rows.map(({ score, fault }) => [score === null, fault !== undefined])).toEqual([
    [true, true],
    [false, false],
  ]);
  const failed = await runInside('coordinator', [...args, 'lr=1e30,1e31', '--report', none]);
  expect(failed.code).toBe(1);
  expect((JSON.parse(readFileSync(none, 'utf8')) as SweepReport).best).toBeNull();
});

it.each([
  [['--sweep', 'batch=16,1000'], /^lockstep: --batch: expected at most the \d+ samples of the training set, got 1000$/],
  [['--sweep', 'lr'], '--sweep: expected an option and its values, like lr=0.01,0.1, got lr'],
  [['--sweep', 'lr=0.1,x'], '--lr: expected a number above 0, got x'],
  [['--sweep', 'port=1'], /^lockstep: --sweep: expected one of epochs, .* before =, got port$/],
  [['--sweep', 'lr=0.1,0.2', '--lr', '0.3'], '--lr: cannot be combined with --sweep lr, which gives its values'],
  [
    ['--sweep', 'freeze=0,1', '--freeze', '1'],
    '--freeze: cannot be combined with --sweep freeze, which gives its values',
  ],
  [['--sweep', 'lr=0.1', '--sweep', 'lr=0.2'], '--sweep lr: given twice, expected once'],
  [['--seeds', '2', '--save', 'x'], '--seeds: cannot be combined with --save, which writes a single model'],
])('%j is refused', async (args, message) => {
  const { code, stderr } = await runInside('coordinator', ['start', ...short, ...args]);
  expect(code).toBe(2);
  if (typeof message === 'string') expect(stderr.trim()).toBe(`lockstep: ${message}`);
  else expect(stderr.trim()).toMatch(message);
});
