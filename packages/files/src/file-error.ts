/** Error for a file that cannot be used, as one sentence. */
import { shownLine } from './shown.ts';

/** The message names the file and what is wrong with it. */
export class FileError extends Error {
  override readonly name = 'FileError';

  constructor(message: string) {
    super(shownLine(message));
  }
}

export function unexpected(path: string, expected: string, got: string): FileError {
  return new FileError(`${shownPath(path)}: expected ${expected}, got ${got}`);
}

const maxShownLength = 200;

/** A path as one line of bounded length. */
export function shownPath(path: string): string {
  return shownLine(path, maxShownLength);
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EBUSY: 'a file that is in use',
  EDQUOT: 'no quota left on its disk',
  EFBIG: 'a file that would grow too large',
  EIO: 'an error of its disk',
  EISDIR: 'a folder',
  ELOOP: 'links that lead in a circle',
  ENAMETOOLONG: 'a name that is too long',
  ENOENT: 'nothing there',
  ENOSPC: 'no space left on its disk',
  ENOTDIR: 'a file where a folder is needed',
  ENXIO: 'no process at its other end',
  EPERM: 'no permission',
  EPIPE: 'a reader that has gone',
  EROFS: 'a file system that is read-only',
  ERR_INVALID_ARG_VALUE: 'a name with a NUL character',
};

/** Describes what the system found instead of the file. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
}
