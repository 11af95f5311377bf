/**
 * Files that a person names. Only regular files are read, up to a size. Outputs go through links and into pipes and
 * devices; a regular file is replaced as a whole. A failure is one sentence.
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { errorMessage, shownLine } from './shown.ts';

/** The message names the file and what is wrong with it. */
export class FileError extends Error {
  override readonly name = 'FileError';

  constructor(message: string) {
    super(shownLine(message));
  }
}

function unexpected(path: string, expected: string, got: string): FileError {
  return new FileError(`${shownPath(path)}: expected ${expected}, got ${got}`);
}

const maxShownLength = 200;

/** A path as one line of bounded length. */
export function shownPath(path: string): string {
  return shownLine(path, maxShownLength);
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBUSY: 'the file is in use',
  EDQUOT: 'disk quota exceeded',
  EFBIG: 'the file would be too large',
  EIO: 'input/output error',
  EISDIR: 'it is a folder',
  ELOOP: 'its links form a loop',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'no such file or folder',
  ENOSPC: 'no space left on the disk',
  ENOTDIR: 'part of its path is a file, not a folder',
  ENXIO: 'no process at its other end',
  EPERM: 'operation not permitted',
  EPIPE: 'its reader has closed it',
  EROFS: 'the file system is read-only',
  ERR_INVALID_ARG_VALUE: 'the name contains a NUL character',
};

/** The system's code of an error; undefined if the system did not cause it. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** Says why the system refused a file. */
export function reasonOf(error: unknown): string {
  return reasons[codeOf(error) ?? ''] ?? errorMessage(error);
}

function refused(path: string, error: unknown): FileError {
  return new FileError(`${shownPath(path)}: ${reasonOf(error)}`);
}

/** Uses a file. @throws FileError if the system refuses it */
export function orRefused<Value>(path: string, use: () => Value): Value {
  try {
    return use();
  } catch (error) {
    throw codeOf(error) === undefined ? error : refused(path, error);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'a regular file';
}

const bytesPerMiB = 2 ** 20;
const chunkBytes = 4 * bytesPerMiB;
/** Keeps the opening of a named pipe from waiting for a writer; Windows has neither. */
const nonBlocking = constants.O_NONBLOCK ?? 0;

/** Formats a size, such as `1.5 MiB`. */
export function inMiB(bytes: number): string {
  return `${(bytes / bytesPerMiB).toFixed(1)} MiB`;
}

/** Inspects the next bytes of a file and its total size, 0 if unknown; a thrown error ends the reading. */
export type Look = (chunk: Uint8Array, totalBytes: number) => void;

/**
 * Reads a regular file, following links.
 * @throws FileError if it is not a regular file, has more than `maxBytes`, or cannot be read
 */
export function readRegularFile(path: string, maxBytes: number, look?: Look): Uint8Array {
  return orRefused(path, () => {
    const file = openRegularFile(path, maxBytes);
    try {
      const stats = fstatSync(file);
      // System files, such as those in /proc, do not report their size.
      return stats.size > 0 ? readSized(file, stats.size, look) : readUnsized(path, file, maxBytes, look);
    } finally {
      closeSync(file);
    }
  });
}

/**
 * Reads a regular file part by part, never the whole of it.
 * @throws FileError as `readRegularFile` does
 */
export function* readParts(path: string, maxBytes: number): Generator<Uint8Array> {
  const file = orRefused(path, () => openRegularFile(path, maxBytes));
  try {
    yield* partsOf(path, file, maxBytes);
  } finally {
    closeSync(file);
  }
}

/** Reads an open file of any size to its end. @throws FileError if it has more than `maxBytes` */
function* partsOf(path: string, file: number, maxBytes: number): Generator<Uint8Array> {
  for (let size = 0; ; ) {
    const part = new Uint8Array(chunkBytes);
    const count = orRefused(path, () => readSync(file, part, 0, chunkBytes, null));
    if (count === 0) return;
    size += count;
    if (size > maxBytes) throw unexpected(path, `at most ${inMiB(maxBytes)}`, 'more');
    yield part.subarray(0, count);
  }
}

function openRegularFile(path: string, maxBytes: number): number {
  const file = openSync(path, constants.O_RDONLY | nonBlocking);
  const stats = fstatSync(file);
  if (stats.isFile() && stats.size <= maxBytes) return file;
  closeSync(file);
  if (!stats.isFile()) throw unexpected(path, 'a regular file', kindOf(stats));
  throw unexpected(path, `at most ${inMiB(maxBytes)}`, inMiB(stats.size));
}

/** Reads in chunks. The system provides the zeroed memory page by page, as it is written to. */
function readSized(file: number, size: number, look?: Look): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const count = readSync(file, bytes, at, Math.min(chunkBytes, size - at), null);
    if (count === 0) return bytes.subarray(0, at);
    // The searches of a Buffer are several times as fast as those of other arrays of bytes.
    look?.(Buffer.from(bytes.buffer, at, count), size);
    at += count;
  }
  return bytes;
}

function readUnsized(path: string, file: number, maxBytes: number, look?: Look): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const part of partsOf(path, file, maxBytes)) {
    look?.(part, 0);
    // A copy as long as the part: the system may give few bytes at a time.
    parts.push(part.slice());
  }
  return Buffer.concat(parts);
}

/** The destination of an output, after its links. */
interface Target {
  readonly place: string;
  /** Undefined if nothing is there yet. */
  readonly stats?: Stats;
  /** An open descriptor of this process, such as its standard output. */
  readonly descriptor?: number;
}

/** Same limit as Linux. */
const maxLinks = 40;
const streamNames = ['/dev/stdin', '/dev/stdout', '/dev/stderr'];
const descriptorName = new RegExp(`^(?:/dev/fd|/proc/(?:self|thread-self|${process.pid})/fd)/(\\d+)$`);

/** @throws FileError if nothing can be written there */
function targetOf(path: string): Target {
  if (/[/\\]$/.test(path)) throw unexpected(path, 'a file', 'a folder');
  let place = resolve(path);
  for (let links = 0; links <= maxLinks; links++) {
    const descriptor = descriptorOf(place);
    if (descriptor !== undefined) return descriptorTarget(path, descriptor);
    place = join(folderOf(path, place), basename(place));
    const inFolder = descriptorOf(place);
    if (inFolder !== undefined) return descriptorTarget(path, inFolder);
    const stats = orRefused(path, () => lstatSync(place, { throwIfNoEntry: false }));
    if (!stats) return { place };
    if (!stats.isSymbolicLink()) {
      if (stats.isFile() || stats.isFIFO() || stats.isCharacterDevice()) return { place, stats };
      // A block device holds a disk, which must not be overwritten.
      throw unexpected(path, 'a file', stats.isBlockDevice() ? 'a block device' : kindOf(stats));
    }
    place = resolve(dirname(place), readlinkSync(place));
  }
  throw new FileError(`${shownPath(path)}: ${reasons['ELOOP']}`);
}

/** Finds a descriptor named by a path, to be written to as it is open: it may stand for a socket or a shared file. */
function descriptorOf(place: string): number | undefined {
  const stream = streamNames.indexOf(place);
  if (stream >= 0) return stream;
  const number = descriptorName.exec(place)?.[1];
  return number === undefined ? undefined : Number(number);
}

function descriptorTarget(path: string, descriptor: number): Target {
  try {
    return { place: path, descriptor, stats: fstatSync(descriptor) };
  } catch {
    throw unexpected(path, 'an open descriptor', 'one that is closed');
  }
}

function folderOf(path: string, place: string): string {
  const folder = dirname(place);
  try {
    return realpathSync(folder);
  } catch (error) {
    throw new FileError(`${shownPath(path)}: cannot use the folder ${shownPath(folder)}: ${reasonOf(error)}`);
  }
}

/**
 * Tests an output, before work is spent on its content. Its identity is equal for two names of one file, and undefined
 * if several outputs may share it.
 * @throws FileError if it cannot be written
 */
export function checkOutput(path: string): string | undefined {
  const { place, stats, descriptor } = targetOf(path);
  try {
    if (descriptor !== undefined) {
      writeSync(descriptor, new Uint8Array());
    } else if (!stats) {
      const part = partBeside(place);
      closeSync(openSync(part, 'wx'));
      unlinkSync(part);
    } else if (stats.isFile()) {
      // Only files are opened: opening a pipe or a device can have effects at its other end.
      closeSync(openSync(place, 'r+'));
    }
  } catch (error) {
    if (stats) throw refused(path, error);
    throw new FileError(`${shownPath(path)}: cannot create a file in this folder: ${reasonOf(error)}`);
  }
  if (!stats) return place;
  return descriptor === undefined && stats.isCharacterDevice() ? undefined : identityOf(stats);
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

/**
 * Writes an output.
 * @throws FileError if it cannot be written; an existing regular file then stays whole
 */
export async function writeOutput(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const { place, stats, descriptor } = targetOf(path);
    if (descriptor !== undefined) await writeToDescriptor(descriptor, content);
    else if (stats?.isFIFO()) await writeToPipe(place, content);
    else if (stats?.isCharacterDevice()) await overwrite(place, content, false);
    else await replaceFile(place, content, stats);
  } catch (error) {
    const what = error instanceof FileError ? error.message : `${shownPath(path)}: ${reasonOf(error)}`;
    throw new FileError(`could not write ${what}`);
  }
}

/** Uses the standard streams if possible, to keep the order of other output. */
async function writeToDescriptor(descriptor: number, content: string | Uint8Array): Promise<void> {
  const stream = { 1: process.stdout, 2: process.stderr }[descriptor];
  if (stream) {
    await new Promise<void>((resolve, reject) => {
      stream.write(content, (error) => (error ? reject(error) : resolve()));
    });
    return;
  }
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; ) at += (await promisify(write)(descriptor, bytes, at)).bytesWritten;
}

/** Opens without blocking: if no process reads, a blocked thread could not be woken. */
async function writeToPipe(path: string, content: string | Uint8Array): Promise<void> {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: false, writable: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.end(content, () => socket.destroy());
  });
}

/** A unique name for a temporary file in the same folder; short, however long the other name is. */
function partBeside(path: string): string {
  return join(dirname(path), `.lockstep-${randomBytes(4).toString('hex')}.part`);
}

/**
 * Writes a temporary file, syncs and renames it, so that a crash leaves either the old file or the new one. Mode and
 * owner stay.
 * @param old the existing file, if any
 */
async function replaceFile(path: string, content: string | Uint8Array, old?: Stats): Promise<void> {
  // A rename would separate the file from its other hard links.
  if (old && old.nlink > 1) return overwrite(path, content, true);
  const part = partBeside(path);
  try {
    await writePart(part, content, old);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    if (!old || !isFolderFault(error)) throw error;
    return overwrite(path, content, true);
  }
  await syncFolder(dirname(path));
}

async function writePart(part: string, content: string | Uint8Array, old: Stats | undefined): Promise<void> {
  const file = await open(part, 'wx', old ? 0o600 : 0o666);
  try {
    await file.writeFile(content);
    if (old) await keepOwnerAndMode(file, old);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function keepOwnerAndMode(file: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const { uid: ownUid, gid: ownGid } = await file.stat();
  // Only root may give a file away; if that fails, the file belongs to this user.
  if (uid !== ownUid || gid !== ownGid) await file.chown(uid, gid).catch(() => undefined);
  await file.chmod(mode & 0o7777);
}

/** Whether the folder, not the file, is the problem: it takes no new files, or the file is a mount point. */
function isFolderFault(error: unknown): boolean {
  return ['EACCES', 'EBUSY', 'EPERM', 'EROFS', 'EXDEV'].includes(codeOf(error) ?? '');
}

/** Overwrites in place; not atomic. Opens without O_CREAT, so that a device that has gone becomes no file. */
async function overwrite(path: string, content: string | Uint8Array, isFile: boolean): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  try {
    if (isFile) await file.truncate(0);
    await file.writeFile(content);
    // A device may not support it.
    if (isFile) await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the new name survive a crash of the machine; some file systems and Windows cannot sync a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync().catch(() => undefined);
  } finally {
    await handle?.close();
  }
}
