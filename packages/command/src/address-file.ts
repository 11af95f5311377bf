/** Keeps the secrets in addresses out of logs: a file that only its owner reads, in place of lines that are printed. */
import { closeSync, fchmodSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { reasonOf, shownPath } from '@lockstep/files';
import { CommandFailure } from './failure.ts';
import { textOption } from './option.ts';

export const addressFileOptions = {
  addresses: textOption('FILE', 'where to write the addresses and their secrets, which are then not printed'),
};

/**
 * @param lines the addresses, with secrets
 * @returns lines to print: these, or where they are
 * @throws CommandFailure with exit code 1 if the file cannot be written
 */
export function addressesToPrint(lines: readonly string[], file: string | undefined): readonly string[] {
  if (file === undefined) return lines;
  try {
    writeForOwner(file, `${lines.join('\n')}\n`);
  } catch (error) {
    throw new CommandFailure(`--addresses: could not write ${shownPath(file)}: ${reasonOf(error)}`, 1);
  }
  return [`The addresses to join and to watch are in ${shownPath(file)}.`];
}

function writeForOwner(file: string, text: string): void {
  const descriptor = openSync(file, 'w', 0o600);
  try {
    // The file may have been there, for others to read.
    if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
