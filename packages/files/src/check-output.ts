/** Tests whether an output can be written, before spending work on its contents. */
import { closeSync, openSync, type Stats, statSync, unlinkSync, writeSync } from 'node:fs';
import { reasonOf, unexpected } from './file-error.ts';
import { partBeside } from './replace-file.ts';
import { type Target, targetOf } from './target.ts';

/**
 * Tests an output and returns its identity: equal for two names of one file, undefined if several outputs may share it.
 * @throws FileError if it cannot be written
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

/** Identity of an existing file, comparable with that of `checkOutput`; undefined if there is none to see. */
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
      // Opening a pipe or device can have effects at its other end.
      return;
    default:
      target satisfies never;
  }
}

function expectedOf({ type }: Target): string {
  return type === 'new' ? 'a file in a folder that can be written to' : 'a file that can be written to';
}
