/** Files that a command writes at its end. */
import { accessSync, constants, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { usageFailure } from '@lockstep/command';

/** @throws CommandFailure before a long measurement where the file could not be written after it */
export function requireWritable(option: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    accessSync(dirname(resolve(file)), constants.W_OK);
  } catch {
    throw usageFailure(`--${option}: expected a file in a folder that can be written to, got ${file}`);
  }
  const existing = statSync(file, { throwIfNoEntry: false });
  if (existing?.isDirectory()) throw usageFailure(`--${option}: expected a file, got the folder ${file}`);
  try {
    if (existing) accessSync(file, constants.W_OK);
  } catch {
    throw usageFailure(`--${option}: expected a file that may be written, got ${file}`);
  }
}

export async function writeJson(file: string, content: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(content, undefined, 2)}\n`);
}
