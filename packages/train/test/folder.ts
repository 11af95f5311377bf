/** A temporary folder for a file of tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** The folder's path; it goes, with all that is in it, after the last test. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'lockstep-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
