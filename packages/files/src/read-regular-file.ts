/** Reads a file that a person names, unless reading it could block or never end. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { FileError, reasonOf, unexpected } from './file-error.ts';
import { kindOf } from './kind.ts';

const bytesPerMiB = 2 ** 20;
/** Opening a named pipe would wait for a writer otherwise; Windows has neither. */
const nonBlocking = constants.O_NONBLOCK ?? 0;

/**
 * The bytes of a regular file, also through a link.
 * @throws FileError where it is something else, has more than `maxBytes`, or cannot be read
 */
export function readRegularFile(path: string, maxBytes: number): Uint8Array {
  try {
    const file = openSync(path, constants.O_RDONLY | nonBlocking);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile()) throw unexpected(path, 'a regular file', kindOf(stats));
      if (stats.size > maxBytes) throw unexpected(path, `at most ${inMiB(maxBytes)}`, inMiB(stats.size));
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw unexpected(path, 'a file that can be read', reasonOf(error));
  }
}

function inMiB(bytes: number): string {
  return `${(bytes / bytesPerMiB).toFixed(1)} MiB`;
}
