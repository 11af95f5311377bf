/** Saves the trained model as a safetensors file. */
import { saveFile } from '@lockstep/command';
import { type Model, writeModelFile } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { sha256 } from './sha256.ts';

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
