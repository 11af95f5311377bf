/** Reads files as they are or gzip-packed, no further than a reader goes along; needs Node. */
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { FileError, inMiB, readRegularFile, reasonOf } from '@lockstep/files';
import { DataError } from '../data-error.ts';
import { maxFileBytes, unpackedLimit } from '../limits.ts';

const gunzipChunkBytes = 2 ** 20;

/**
 * Sees the next bytes of a file as they are unpacked, before memory is taken for more; what it throws ends the reading.
 * @param totalBytes in all; 0 if they are not known
 * @param fileBytes that the file takes where it lies
 */
export type Gate = (chunk: Uint8Array, totalBytes: number, fileBytes: number) => void;

export interface UnpackedFile {
  readonly bytes: Uint8Array;
  /** That the file takes where it lies. */
  readonly fileBytes: number;
}

/**
 * The file's bytes, unpacked when they begin with gzip's magic number, whatever its name.
 * A packed file is unpacked twice: to look at it, and into memory of the size that it turned out to have.
 * @throws DataError
 */
export async function readUnpacked(path: string, gate: Gate): Promise<UnpackedFile> {
  const file = readFile(path, maxFileBytes, gate);
  const fileBytes = file.length;
  if (!isGzip(file)) return { bytes: file, fileBytes };
  const most = unpackedLimit(fileBytes);
  const name = basename(path);
  let count = 0;
  await unpack(file, name, (chunk) => {
    count += chunk.length;
    if (count > most) {
      const expected = `gzip data that unpack to at most ${inMiB(most)}`;
      throw new DataError(`${name}: expected ${expected}, as a file of ${inMiB(fileBytes)} may, got more`);
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

/** Errors of the file as those of data. @throws DataError */
export function readFile(path: string, maxBytes: number, gate: Gate): Uint8Array {
  let isPacked: boolean | undefined;
  try {
    return readRegularFile(path, maxBytes, (chunk, totalBytes) => {
      isPacked ??= isGzip(chunk);
      if (!isPacked) gate(chunk, totalBytes, totalBytes);
    });
  } catch (error) {
    if (error instanceof FileError) throw new DataError(error.message);
    throw error;
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** @throws DataError if the file is damaged, and what `take` throws */
async function unpack(file: Uint8Array, name: string, take: (chunk: Uint8Array) => void): Promise<void> {
  const stream = createGunzip({ chunkSize: gunzipChunkBytes });
  stream.end(file);
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) take(chunk);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${name}: expected gzip data, got a corrupt file (${reasonOf(error)})`);
  } finally {
    stream.destroy();
  }
}
