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

export function modelFileOf({ prepared, weights, weightsSha256, steps }: ModelSnapshot, format: ModelFormat) {
  const { model, train, reading, config } = prepared;
  const { seed, initSha256 } = config;
  const origin = { lockstep: version, seed, steps, weightsSha256, initSha256 };
  const metadata = describeModel({ ...samplesOf(train), reading }, origin);
  return (format === 'onnx' ? writeOnnx : writeModelFile)(model, weights, metadata);
}

/** What a model that was trained on these takes, and gives. */
export function samplesOf({ samples, sampleShape, targets }: Dataset) {
  return { targets, sampleShape, scaling: scalingOf(samples) };
}

/** As ONNX where the name asks for it, else as safetensors. */
export function formatOf(file: string): ModelFormat {
  return file.toLowerCase().endsWith('.onnx') ? 'onnx' : 'safetensors';
}
