import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { readReport } from './processes.ts';

const folder = temporaryFolder();
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));

it.runIf(existsSync('/dev/full'))('a full disk under what is printed ends no run, and is one sentence', async () => {
  const report = join(folder, 'report.json');
  const args = [...(await tinyArgs(folder)), '--single', '--steps', '3', '--report', report];
  const full = openSync('/dev/full', 'w');
  const ended = spawnSync(process.execPath, [program, 'start', ...args], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  expect({ code: ended.status, stderr: ended.stderr.toString() }).toEqual({
    code: 1,
    stderr: 'lockstep: could not write what is printed: no space left on its disk\n',
  });
  expect(readReport(report).steps).toBe(3);
});
