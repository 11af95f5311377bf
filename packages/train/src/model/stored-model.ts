/** Reads a model file: what it says of itself and its weights, checked against each other. */
import { type Model, type ModelDescription, parseDescription, readModelFile, readSafetensors } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { checkpointFormat } from '../checkpoint/checkpoint.ts';

export interface StoredModel extends ModelDescription {
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  /** SHA-256 of the weights, as in a report. */
  readonly weightsSha256: string;
  /** All that the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Most bytes of a file: as many parameters as a model may have, and a long header. */
export const maxModelFileBytes = 2 ** 30 + 2 ** 20;

/**
 * @param bytes of a safetensors file that a run saved, or PyTorch
 * @param given the model, where the file may have no layer list
 * @throws Error with one sentence where the file is no such file, or its weights are not those of its model or hash
 */
export function readStoredModel(bytes: Uint8Array, given?: Model): StoredModel {
  const { metadata } = readSafetensors(bytes);
  if (metadata['format'] === checkpointFormat) {
    throw new Error('expected a model file as --save writes, got a checkpoint, from which --resume goes on');
  }
  const description = parseDescription(metadata, given);
  const weights = readModelFile(description.model, bytes);
  const weightsSha256 = bytesToHex(sha256(bytesOf(weights)));
  const { weightsSha256: expected } = metadata;
  if (expected !== undefined && expected !== weightsSha256) {
    const [claimed, got] = [expected, weightsSha256].map((hash) => `${hash.slice(0, 16)}…`);
    throw new Error(`model file: expected weights with SHA-256 ${claimed}, got ${got}: the file was changed`);
  }
  return { ...description, weights, weightsSha256, metadata };
}
