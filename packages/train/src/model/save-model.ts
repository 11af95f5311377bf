/** Saves the trained model as a file that says what it is. */
import { writeOutput } from '@lockstep/files';
import { describeModel, scalingOf, writeModelFile } from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import { bytesOf } from '@lockstep/protocol';
import type { Prepared } from '../prepared.ts';
import { sha256 } from '../sha256.ts';

export interface ModelSnapshot {
  readonly prepared: Pick<Prepared, 'model' | 'train' | 'reading' | 'config'>;
  readonly weights: Float32Array<ArrayBuffer>;
  /** Steps that the weights have taken. */
  readonly steps: number;
  readonly version: string;
}

/** As ONNX where the name asks for it, else as safetensors. Returns a line for people with the file's name. @throws FileError where it cannot be written */
export async function saveModel(file: string, { prepared, weights, steps, version }: ModelSnapshot): Promise<string> {
  const { model, train, reading, config } = prepared;
  const { seed, initSha256 } = config;
  const { samples, sampleShape, targets } = train;
  const metadata = describeModel(
    { targets, sampleShape, scaling: scalingOf(samples), reading },
    { lockstep: version, seed, steps, weightsSha256: sha256(bytesOf(weights)), initSha256 },
  );
  const write = file.toLowerCase().endsWith('.onnx') ? writeOnnx : writeModelFile;
  await writeOutput(file, write(model, weights, metadata));
  return `model after step ${steps} saved to ${file}`;
}
