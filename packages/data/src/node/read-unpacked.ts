/** Reads files as they are or gzip-packed; needs Node. */
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { FileError, readRegularFile, reasonOf } from '@lockstep/files';
import { DataError } from '../data-error.ts';

/** Most bytes of a file, packed or not. */
const maxFileBytes = 2 ** 30;

/** The file's bytes, unpacked when they begin with gzip's magic number, whatever its name. @throws DataError */
export async function readUnpacked(path: string): Promise<Uint8Array> {
  let file: Uint8Array;
  try {
    file = readRegularFile(path, maxFileBytes);
  } catch (error) {
    if (error instanceof FileError) throw new DataError(error.message);
    throw error;
  }
  const isGzip = file[0] === 0x1f && file[1] === 0x8b;
  if (!isGzip) return file;
  try {
    return await promisify(gunzip)(file, { maxOutputLength: maxFileBytes });
  } catch (error) {
    throw new DataError(`${basename(path)}: expected gzip data, got a corrupt file (${reasonOf(error)})`);
  }
}
