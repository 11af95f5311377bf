/** Writes a file whole or not at all. */
import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { CommandFailure, errorMessage } from '@lockstep/command';
import { type Model, writeModelFile } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { sha256 } from './sha256.ts';

/** @throws CommandFailure where it cannot be written; a file of that name from before is then still there, whole. */
export async function saveFile(file: string, content: string | Uint8Array): Promise<void> {
  const part = `${file}.${randomBytes(4).toString('hex')}.part`;
  try {
    await writeFile(part, content, { flush: true });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw new CommandFailure(`could not write ${file}: ${errorMessage(error)}`, 1);
  }
}

export interface ModelSnapshot {
  readonly model: Model;
  readonly weights: Float32Array<ArrayBuffer>;
  /** Steps that the weights have taken. */
  readonly steps: number;
  readonly version: string;
}

/** Returns a line for people with the file's name. @throws CommandFailure as `saveFile` */
export async function saveModel(file: string, { model, weights, steps, version }: ModelSnapshot): Promise<string> {
  const metadata = { lockstep: version, steps: `${steps}`, weightsSha256: sha256(bytesOf(weights)) };
  await saveFile(file, writeModelFile(model, weights, metadata));
  return `model after step ${steps} saved to ${file}`;
}
