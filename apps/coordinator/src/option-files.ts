/** Files that options name. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { usageFailure } from '@lockstep/command';

/** The text of the file. @throws CommandFailure with exit code 2 where it cannot be read */
export function readOptionFile(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw usageFailure(`--${option}: expected a file that can be read, got ${file}`);
  }
}

/** Checked before training: a failure to write after it would lose the model. */
export function requireWritable(option: string, file: string | undefined): void {
  if (file === undefined) return;
  const folder = dirname(resolve(file));
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw usageFailure(`--${option}: expected a file in a folder that can be written to, got ${file}`);
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
    throw usageFailure(`--${option}: expected a file, got the folder ${file}`);
  }
}
