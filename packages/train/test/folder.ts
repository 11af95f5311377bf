/** A temporary folder for a test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** The folder's path; the folder is removed after the last test. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'lockstep-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
