/** Reads a file that a person names, unless reading it could block or never end. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { FileError, reasonOf, unexpected } from './file-error.ts';
import { kindOf } from './kind.ts';

const bytesPerMiB = 2 ** 20;
const chunkBytes = 4 * bytesPerMiB;
/** Keeps the opening of a named pipe from waiting for a writer; Windows has neither. */
const nonBlocking = constants.O_NONBLOCK ?? 0;

/** Inspects the next bytes of a file and its total size, 0 if unknown; a thrown error ends the reading. */
export type Look = (chunk: Uint8Array, totalBytes: number) => void;

/**
 * Reads a regular file, following links.
 * @throws FileError if it is not a regular file, has more than `maxBytes`, or cannot be read
 */
export function readRegularFile(path: string, maxBytes: number, look?: Look): Uint8Array {
  return orFileError(path, () => {
    const file = openSync(path, constants.O_RDONLY | nonBlocking);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile()) throw unexpected(path, 'a regular file', kindOf(stats));
      if (stats.size > maxBytes) throw unexpected(path, `at most ${inMiB(maxBytes)}`, inMiB(stats.size));
      // System files, such as those in /proc, do not report their size.
      return stats.size > 0 ? readSized(file, stats.size, look) : readUnsized(path, file, maxBytes, look);
    } finally {
      closeSync(file);
    }
  });
}

/** Reads in chunks. The system provides the zeroed memory page by page, as it is written to. */
function readSized(file: number, size: number, look?: Look): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const count = readSync(file, bytes, at, Math.min(chunkBytes, size - at), null);
    if (count === 0) return bytes.subarray(0, at);
    look?.(bytes.subarray(at, at + count), size);
    at += count;
  }
  return bytes;
}

function readUnsized(path: string, file: number, maxBytes: number, look?: Look): Uint8Array {
  const chunks: Uint8Array[] = [];
  const chunk = new Uint8Array(chunkBytes);
  for (let size = 0; ; ) {
    const count = readSync(file, chunk, 0, chunkBytes, null);
    if (count === 0) return Buffer.concat(chunks);
    size += count;
    if (size > maxBytes) throw unexpected(path, `at most ${inMiB(maxBytes)}`, 'more');
    look?.(chunk.subarray(0, count), 0);
    chunks.push(chunk.slice(0, count));
  }
}

/** Turns system errors into FileErrors; other errors are the caller's. */
function orFileError<Value>(path: string, use: () => Value): Value {
  try {
    return use();
  } catch (error) {
    const isOfSystem = error instanceof Error && 'code' in error;
    if (error instanceof FileError || !isOfSystem) throw error;
    throw unexpected(path, 'a file that can be read', reasonOf(error));
  }
}

/** Formats a size, such as `1.5 MiB`. */
export function inMiB(bytes: number): string {
  return `${(bytes / bytesPerMiB).toFixed(1)} MiB`;
}
