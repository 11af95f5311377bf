/** `--sweep` on worker processes gives each run the weights that it has alone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SweepReport } from '@lockstep/train';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runInside, runToReport } from './processes.ts';

const folder = temporaryFolder();
const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const short = ['--data', iris, '--epochs', '2'];

it('runs of a sweep have the weights that they have alone, and a table says which is best', async () => {
  const file = join(folder, 'sweep.json');
  const args = ['--sweep', 'lr=0.001,0.1', '--sweep', 'optimizer=sgd,adam', '--seeds', '2', '--workers', '2'];
  const sweep = ['start', ...short, ...args, '--port', '0', '--report', file];
  const { code, stdout } = await runInside('coordinator', sweep);
  expect(code).toBe(0);
  const { rows, best } = JSON.parse(readFileSync(file, 'utf8')) as SweepReport;
  expect(rows).toHaveLength(8);
  const last = ['--lr', '0.1', '--optimizer', 'adam', '--seed', '2', '--single'];
  const { report } = await runToReport(folder, [...short, ...last]);
  expect(rows.at(-1)!.weightsSha256).toBe(report.weightsSha256);
  expect(stdout).toContain('Run 8 of 8: lr 0.1, optimizer adam, seed 2\n');
  expect(stdout).toMatch(/^lr +optimizer +seed +test loss +test accuracy +weights$/m);
  expect(stdout).toMatch(new RegExp(`^0\\.1 +adam +2 .* ${report.weightsSha256.slice(0, 12)}$`, 'm'));
  const { 'optimizer.learningRate': rate, 'optimizer.type': type } = best!.values;
  expect(stdout).toContain(`Best by mean test loss: lr ${rate}, optimizer ${type}\n`);
});
