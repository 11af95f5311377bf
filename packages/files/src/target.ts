/** Destination of an output, after following its links. */
import { fstatSync, lstatSync, readlinkSync, realpathSync, type Stats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { reasonOf, shownPath, unexpected } from './file-error.ts';
import { kindOf } from './kind.ts';

export type Target =
  /** An open descriptor of this process, such as its standard output. */
  | { readonly type: 'descriptor'; readonly descriptor: number; readonly stats: Stats }
  | { readonly type: 'new'; readonly path: string }
  | { readonly type: 'file' | 'pipe' | 'device'; readonly path: string; readonly stats: Stats };

/** Same limit as Linux. */
const maxLinks = 40;
const streamNames = ['/dev/stdin', '/dev/stdout', '/dev/stderr'];
const descriptorName = new RegExp(`^(?:/dev/fd|/proc/(?:self|thread-self|${process.pid})/fd)/(\\d+)$`);

/** @throws FileError if nothing can be written there */
export function targetOf(path: string): Target {
  if (/[/\\]$/.test(path)) throw unexpected(path, 'the name of a file', 'that of a folder');
  let place = resolve(path);
  for (let links = 0; links <= maxLinks; links++) {
    const descriptor = descriptorOf(place);
    if (descriptor !== undefined) return descriptorTarget(path, descriptor);
    place = join(folderOf(path, place), basename(place));
    const inFolder = descriptorOf(place);
    if (inFolder !== undefined) return descriptorTarget(path, inFolder);
    const stats = statsOf(path, place);
    if (!stats) return { type: 'new', path: place };
    if (!stats.isSymbolicLink()) return existingTarget(path, place, stats);
    place = resolve(dirname(place), readlinkSync(place));
  }
  throw unexpected(path, 'a file', 'links that lead in a circle');
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
    return { type: 'descriptor', descriptor, stats: fstatSync(descriptor) };
  } catch {
    throw unexpected(path, 'an open descriptor', 'one that is closed');
  }
}

function folderOf(path: string, place: string): string {
  const folder = dirname(place);
  try {
    return realpathSync(folder);
  } catch (error) {
    throw unexpected(path, 'a file in a folder that exists', `${reasonOf(error)} at ${shownPath(folder)}`);
  }
}

function statsOf(path: string, place: string): Stats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false });
  } catch (error) {
    throw unexpected(path, 'a file that can be written to', reasonOf(error));
  }
}

function existingTarget(path: string, place: string, stats: Stats): Target {
  if (stats.isFile()) return { type: 'file', path: place, stats };
  if (stats.isFIFO()) return { type: 'pipe', path: place, stats };
  if (stats.isCharacterDevice()) return { type: 'device', path: place, stats };
  // A block device holds a disk, which must not be overwritten.
  throw unexpected(path, 'a file', stats.isBlockDevice() ? 'a block device' : kindOf(stats));
}
