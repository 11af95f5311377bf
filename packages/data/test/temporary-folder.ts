/** Files in a temporary folder, which is removed after the test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

export type Files = Readonly<Record<string, string | Uint8Array>>;

/**
 * Creates the files and returns the folder's path.
 * @param files by relative path, with slashes; a path that ends with a slash is an empty folder
 */
export function folderOf(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-data-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    const place = join(folder, path);
    mkdirSync(path.endsWith('/') ? place : dirname(place), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(place, content);
  }
  return folder;
}
