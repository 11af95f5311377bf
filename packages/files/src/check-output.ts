/** Tries whether an output could be written, before the work that it is to hold is done. */
import { closeSync, openSync, type Stats, statSync, unlinkSync, writeSync } from 'node:fs';
import { reasonOf, unexpected } from './file-error.ts';
import { partBeside } from './replace-file.ts';
import { type Target, targetOf } from './target.ts';

/**
 * What tells the output from others: equal for two names of one file, undefined where several outputs may share it.
 * @throws FileError where it could not be written
 */
export function checkOutput(path: string): string | undefined {
  const target = targetOf(path);
  try {
    tryOut(target);
  } catch (error) {
    throw unexpected(path, expectedOf(target), reasonOf(error));
  }
  switch (target.type) {
    case 'new':
      return target.path;
    case 'device':
      return undefined;
    case 'descriptor':
    case 'file':
    case 'pipe':
      return identityOf(target.stats);
    default:
      return target satisfies never;
  }
}

/** What `checkOutput` gives for an output that would take this file's place; undefined where there is none to see. */
export function fileIdentity(path: string): string | undefined {
  try {
    return identityOf(statSync(path));
  } catch {
    return undefined;
  }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

function tryOut(target: Target): void {
  switch (target.type) {
    case 'new': {
      const part = partBeside(target.path);
      closeSync(openSync(part, 'wx'));
      unlinkSync(part);
      return;
    }
    case 'file':
      closeSync(openSync(target.path, 'r+'));
      return;
    case 'descriptor':
      writeSync(target.descriptor, new Uint8Array());
      return;
    case 'pipe':
    case 'device':
      // Opening them can be seen at their other end.
      return;
    default:
      target satisfies never;
  }
}

function expectedOf({ type }: Target): string {
  return type === 'new' ? 'a file in a folder that can be written to' : 'a file that can be written to';
}
