/** Reads a file that a person names, unless reading it could block or never end. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { FileError, reasonOf, unexpected } from './file-error.ts';
import { kindOf } from './kind.ts';

const bytesPerMiB = 2 ** 20;
const chunkBytes = 4 * bytesPerMiB;
/** Opening a named pipe would wait for a writer otherwise; Windows has neither. */
const nonBlocking = constants.O_NONBLOCK ?? 0;

/** Sees the next bytes of a file, and how many it has in all, before memory is taken for more; what it throws ends the reading. */
export type Look = (chunk: Uint8Array, totalBytes: number) => void;

/**
 * The bytes of a regular file, also through a link.
 * @throws FileError where it is something else, has more than `maxBytes`, or cannot be read
 */
export function readRegularFile(path: string, maxBytes: number, look?: Look): Uint8Array {
  return orFileError(path, () => {
    const file = openSync(path, constants.O_RDONLY | nonBlocking);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile()) throw unexpected(path, 'a regular file', kindOf(stats));
      if (stats.size > maxBytes) throw unexpected(path, `at most ${inMiB(maxBytes)}`, inMiB(stats.size));
      // Files of the system, such as those of /proc, do not say their size.
      return look && stats.size > 0 ? readLooking(file, stats.size, look) : readFileSync(file);
    } finally {
      closeSync(file);
    }
  });
}

/** The system gives zeros out page by page, as they are written to. */
function readLooking(file: number, size: number, look: Look): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const count = readSync(file, bytes, at, Math.min(chunkBytes, size - at), null);
    if (count === 0) return bytes.subarray(0, at);
    look(bytes.subarray(at, at + count), size);
    at += count;
  }
  return bytes;
}

/** Errors of the system as a sentence; others are the caller's. */
function orFileError<Value>(path: string, use: () => Value): Value {
  try {
    return use();
  } catch (error) {
    const isOfSystem = error instanceof Error && 'code' in error;
    if (error instanceof FileError || !isOfSystem) throw error;
    throw unexpected(path, 'a file that can be read', reasonOf(error));
  }
}

/** Such as `1.5 MiB`. */
export function inMiB(bytes: number): string {
  return `${(bytes / bytesPerMiB).toFixed(1)} MiB`;
}
