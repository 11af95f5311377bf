/** Reads files, plain or gzip, only as far as a reader accepts them; finds those of packages; needs Node. */
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { DataError, limitOf, maxFileBytes, unexpected } from '../data-error.ts';
import { FileError, inMiB, type Look, orRefused, readRegularFile, reasonOf } from '../named-files.ts';

const gunzipChunkBytes = 2 ** 20;

/**
 * Sees each chunk of a file as it is unpacked, before memory is allocated for more; may throw to stop the reading.
 * @param totalBytes size of the unpacked file; 0 if unknown
 * @param fileBytes size of the file as stored, possibly packed
 */
type Gate = (chunk: Uint8Array, totalBytes: number, fileBytes: number) => void;

interface UnpackedFile {
  readonly bytes: Uint8Array;
  /** Size of the file as stored, possibly packed. */
  readonly fileBytes: number;
}

/**
 * Reads a file and unpacks it if it begins with gzip's magic number, whatever its name.
 * A packed file is unpacked twice: first to check it, then into memory of exactly its size.
 * @throws DataError
 */
export async function readUnpacked(path: string, gate: Gate): Promise<UnpackedFile> {
  const file = readFile(path, maxFileBytes, gate);
  const fileBytes = file.length;
  if (!isGzip(file)) return { bytes: file, fileBytes };
  const most = limitOf('unpackedBytes', fileBytes);
  const name = basename(path);
  let count = 0;
  await unpack(file, name, (chunk) => {
    count += chunk.length;
    if (count > most) {
      const expected = `gzip data that unpack to at most ${inMiB(most)}`;
      throw unexpected(name, `${expected}, as a file of ${inMiB(fileBytes)} may`, 'more');
    }
    gate(chunk, 0, fileBytes);
  });
  const bytes = new Uint8Array(count);
  let at = 0;
  await unpack(file, name, (chunk) => {
    bytes.set(chunk, at);
    at += chunk.length;
  });
  return { bytes, fileBytes };
}

/** Returns the folder `data` of an installed package. @throws DataError with this message if it is not installed */
export function folderOfPackage(name: string, missing: string): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'data');
  } catch {
    throw new DataError(missing);
  }
}

/** Reads a file, with its errors as DataError. @throws DataError */
export function readFile(path: string, maxBytes: number, gate: Gate): Uint8Array {
  let isPacked: boolean | undefined;
  const look: Look = (chunk, totalBytes) => {
    isPacked ??= isGzip(chunk);
    if (!isPacked) gate(chunk, totalBytes, totalBytes);
  };
  return asData(path, () => readRegularFile(path, maxBytes, look));
}

/** Uses a file or folder. @throws DataError if the system refuses it */
export function asData<Value>(path: string, use: () => Value): Value {
  try {
    return orRefused(path, use);
  } catch (error) {
    throw error instanceof FileError ? new DataError(error.message) : error;
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** @throws DataError if the file is damaged, or if `take` throws one */
async function unpack(file: Uint8Array, name: string, take: (chunk: Uint8Array) => void): Promise<void> {
  const stream = createGunzip({ chunkSize: gunzipChunkBytes });
  stream.end(file);
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) take(chunk);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw unexpected(name, 'gzip data', `a corrupt file (${reasonOf(error)})`);
  } finally {
    stream.destroy();
  }
}
