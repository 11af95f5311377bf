/** `npm run export`: exports a saved model for other programs. */
import {
  generalOptions,
  readCommandLine,
  requireOutputs,
  saveFile,
  shownLine,
  text,
  usageFailure,
} from '@lockstep/command';
import { writeOnnx } from '@lockstep/onnx';
import { inputsOf, loadOptions, readModel } from '../load-option.ts';

const commandLine = {
  name: 'export',
  args: '--load FILE.safetensors --onnx FILE.onnx',
  summary: 'Writes a saved model as ONNX, which many other programs run.',
  options: {
    ...loadOptions,
    onnx: { kind: text, placeholder: 'FILE.onnx', help: 'where to write the model' },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function exportModel(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  const { onnx } = options;
  if (onnx === undefined) throw usageFailure('--onnx: expected FILE.onnx, where to write the model, got none');
  requireOutputs({ onnx }, inputsOf(options));
  const { model, weights, metadata } = await readModel(options);
  // It says how PyTorch loads the safetensors file.
  const { format: _, ...about } = metadata;
  await saveFile(onnx, writeOnnx(model, weights, about));
  process.stdout.write(`model ${shownLine(model.name)} written to ${onnx}\n`);
  return 0;
}
