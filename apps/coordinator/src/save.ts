/** Writes a file whole or not at all. */
import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { CommandFailure } from '@lockstep/command';

/** @throws CommandFailure where it cannot be written; a file of that name from before is then still there, whole. */
export async function saveFile(file: string, content: string | Uint8Array): Promise<void> {
  const part = `${file}.${randomBytes(4).toString('hex')}.part`;
  try {
    await writeFile(part, content, { flush: true });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw new CommandFailure(`could not write ${file}: ${(error as Error).message}`, 1);
  }
}
