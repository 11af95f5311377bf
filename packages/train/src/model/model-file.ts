/** A trained model as a file's bytes, which say what the model is. */
import { byteScaling, describeModel, numberedClasses, writeModelFile } from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import type { Prepared } from '../prepared.ts';
import { version } from '../version.ts';

export type ModelFormat = 'safetensors' | 'onnx';

export interface ModelSnapshot {
  readonly prepared: Pick<Prepared, 'model' | 'train' | 'config'>;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly weightsSha256: string;
  /** Steps that the weights have taken. */
  readonly steps: number;
}

export function modelFileOf({ prepared, weights, weightsSha256, steps }: ModelSnapshot, format: ModelFormat) {
  const { model, train, config } = prepared;
  const { seed, initSha256 } = config;
  const samples = { sampleShape: [train.rows, train.columns, 1], scaling: byteScaling };
  const metadata = describeModel(
    { classes: numberedClasses(train.classes), ...samples },
    { lockstep: version, seed, steps, weightsSha256, initSha256 },
  );
  return (format === 'onnx' ? writeOnnx : writeModelFile)(model, weights, metadata);
}

/** As ONNX where the name asks for it, else as safetensors. */
export function formatOf(file: string): ModelFormat {
  return file.toLowerCase().endsWith('.onnx') ? 'onnx' : 'safetensors';
}
