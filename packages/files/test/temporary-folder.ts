/** A temporary folder for a file of tests. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** The folder's path; it goes, with all that is in it, after the last test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-files-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function makePipe(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

export const isRoot = process.getuid?.() === 0;
/** Named pipes, devices and modes are looked at where the system has them. */
export const isPosix = process.platform !== 'win32';
