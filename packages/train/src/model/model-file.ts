/** Converts a trained model to a self-describing file, and back. */
import type { Dataset } from '@lockstep/data';
import {
  describeModel,
  type Model,
  type ModelDescription,
  parseDescription,
  readModelFile,
  readSafetensors,
  scalingOf,
  writeModelFile,
} from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import { bytesOf } from '@lockstep/protocol';
import { configurationError, named } from '@lockstep/worker';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { checkpointFormat } from '../checkpoint/checkpoint.ts';
import type { Prepared } from '../prepared.ts';
import { version } from '../version.ts';
import { errorMessage } from '../words.ts';

export interface StoredModel extends ModelDescription {
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  /** SHA-256 of the weights, as in a report. */
  readonly weightsSha256: string;
  /** All metadata of the file. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Maximum size of a file: the largest number of parameters a model may have, and a long header. */
export const maxModelFileBytes = 2 ** 30 + 2 ** 20;

/**
 * @param bytes of a safetensors file that a run or PyTorch saved
 * @param given the model, if the file may lack a layer list
 * @throws Error with one sentence if the file is not a model file, or its weights do not match its model or hash
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

export type ModelFormat = 'safetensors' | 'onnx';

export interface ModelSnapshot {
  readonly prepared: Pick<Prepared, 'model' | 'train' | 'reading' | 'config'>;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly weightsSha256: string;
  /** Number of steps taken by the weights. */
  readonly steps: number;
}

export function modelFileOf({ weights, ...snapshot }: ModelSnapshot, format: ModelFormat) {
  return (format === 'onnx' ? writeOnnx : writeModelFile)(snapshot.prepared.model, weights, metadataOf(snapshot));
}

/** Metadata of the file, besides model and weights. */
export function metadataOf({ prepared, weightsSha256, steps }: Omit<ModelSnapshot, 'weights'>): Record<string, string> {
  const { train, reading, config } = prepared;
  const { seed, initSha256 } = config;
  const origin = { lockstep: version, seed, steps, weightsSha256, initSha256 };
  return describeModel({ ...samplesOf(train), reading }, origin);
}

/** Inputs and outputs of a model trained on these data. */
export function samplesOf({ samples, sampleShape, targets }: Dataset) {
  return { targets, sampleShape, scaling: scalingOf(samples) };
}

/** ONNX if the file name ends in `.onnx`, otherwise safetensors. */
export function modelFormatOf(file: string): ModelFormat {
  return file.toLowerCase().endsWith('.onnx') ? 'onnx' : 'safetensors';
}

type InitialWeights = Pick<StoredModel, 'weights' | 'weightsSha256'>;

/**
 * Reads the initial weights of a run.
 * @throws ConfigurationError if the file has none, or those of another model
 */
export function readInitialWeights(bytes: Uint8Array, model: Model): InitialWeights {
  try {
    const { weights, weightsSha256 } = readStoredModel(bytes, model);
    const wrong = weights.find((weight) => !Number.isFinite(weight));
    if (wrong === undefined) return { weights, weightsSha256 };
    throw new Error(`expected finite weights to go on from, got ${wrong} among them`);
  } catch (error) {
    throw configurationError`${named('initialWeights')}: ${errorMessage(error)}`;
  }
}
