/** Removal of upload folders that killed processes left behind, and of no others. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { removeLeftBehind, uploadPrefix } from '../src/site/upload.ts';
import { temporaryFolder } from './folder.ts';

const folder = temporaryFolder();

/** A folder name as another process of this machine would choose it. */
function nameOf(pid: number, end: string): string {
  return `${uploadPrefix().replace(/-\d+-$/, `-${pid}-`)}${end}`;
}

/** The id of a process that has ended. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid;
}

it('only folders of processes that are gone are removed', async () => {
  const place = mkdtempSync(join(folder, 'uploads-'));
  const living = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  onTestFinished(() => void living.kill('SIGKILL'));
  const dead = deadPid();
  const stay = [
    nameOf(process.pid, 'own'),
    nameOf(living.pid!, 'living'),
    // The folder of a container that shares the temporary folder but numbers its processes separately.
    `lockstep-upload-000000000000-${dead}-other`,
    `lockstep-upload-${dead}-old`,
    'something-else',
  ];
  for (const name of [...stay, nameOf(dead, 'gone')]) {
    mkdirSync(join(place, name, 'data'), { recursive: true });
    writeFileSync(join(place, name, 'data', 'iris.csv'), '1');
  }
  writeFileSync(join(place, nameOf(dead, 'file')), 'no folder');
  symlinkSync(join(place, 'something-else'), join(place, nameOf(dead, 'link')));
  await removeLeftBehind(place);
  expect(readdirSync(place).sort()).toEqual([...stay, nameOf(dead, 'file'), nameOf(dead, 'link')].sort());
  expect(readdirSync(join(place, 'something-else', 'data'))).toEqual(['iris.csv']);
});

it('a folder that is not there, or cannot be read, is none to look into', async () => {
  await expect(removeLeftBehind(join(folder, 'missing'))).resolves.toBeUndefined();
});

it('a folder of this process is named so that a later one finds it', () => {
  const made = basename(mkdtempSync(join(tmpdir(), uploadPrefix())));
  onTestFinished(() => rmSync(join(tmpdir(), made), { recursive: true }));
  expect(made).toMatch(new RegExp(`^lockstep-upload-[0-9a-f]{12}-${process.pid}-.{6}$`));
});
