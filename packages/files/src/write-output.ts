/** Writes an output to its destination: through links, into special files, into regular ones whole or not at all. */
import { constants, openSync, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import { promisify } from 'node:util';
import { FileError, reasonOf, shownPath } from './file-error.ts';
import { replaceFile } from './replace-file.ts';
import { targetOf } from './target.ts';

/** @throws FileError if it cannot be written; an existing regular file then stays whole */
export async function writeOutput(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const target = targetOf(path);
    switch (target.type) {
      case 'descriptor':
        await writeToDescriptor(target.descriptor, content);
        return;
      case 'pipe':
        await writeToPipe(target.path, content);
        return;
      case 'device':
        await writeToDevice(target.path, content);
        return;
      case 'new':
        await replaceFile(target.path, content);
        return;
      case 'file':
        await replaceFile(target.path, content, target.stats);
        return;
      default:
        target satisfies never;
    }
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

/** Opens without O_CREAT, so that a missing device creates no file. Does not sync: a device may not support it. */
async function writeToDevice(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}
