/** A trained model as a file's bytes, which say what the model is. */
import type { Dataset } from '@lockstep/data';
import { describeModel, scalingOf, writeModelFile } from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import type { Prepared } from '../prepared.ts';
import { version } from '../version.ts';

export type ModelFormat = 'safetensors' | 'onnx';

export interface ModelSnapshot {
  readonly prepared: Pick<Prepared, 'model' | 'train' | 'reading' | 'config'>;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly weightsSha256: string;
  /** Steps that the weights have taken. */
  readonly steps: number;
}

export function modelFileOf({ weights, ...snapshot }: ModelSnapshot, format: ModelFormat) {
  return (format === 'onnx' ? writeOnnx : writeModelFile)(snapshot.prepared.model, weights, metadataOf(snapshot));
}

/** What the file says beside model and weights. */
export function metadataOf({ prepared, weightsSha256, steps }: Omit<ModelSnapshot, 'weights'>): Record<string, string> {
  const { train, reading, config } = prepared;
  const { seed, initSha256 } = config;
  const origin = { lockstep: version, seed, steps, weightsSha256, initSha256 };
  return describeModel({ ...samplesOf(train), reading }, origin);
}

/** What a model that was trained on these takes, and gives. */
export function samplesOf({ samples, sampleShape, targets }: Dataset) {
  return { targets, sampleShape, scaling: scalingOf(samples) };
}

/** As ONNX where the name asks for it, else as safetensors. */
export function formatOf(file: string): ModelFormat {
  return file.toLowerCase().endsWith('.onnx') ? 'onnx' : 'safetensors';
}
