/** The saved model that commands use, and `export`, which writes it or its configuration for other programs. */

import {
  generalOptions,
  isModelFile,
  modelText,
  type Options,
  readCommandLine,
  readOptionBytes,
  requireOutputs,
  saveFile,
  saveJson,
  shownLine,
  textKind,
  usageFailure,
} from '@lockstep/command';
import { errorMessage } from '@lockstep/data/shown';
import { gpt2Config, type Model, type ModelDescription, resolveModel } from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import { type LoadedModel, loadModel } from '@lockstep/train';
import { maxModelFileBytes, readStoredModel } from '@lockstep/train/command-line';

export const loadOptions = {
  load: { kind: textKind, placeholder: 'FILE.safetensors', help: 'model file, as written by --save' },
  model: {
    kind: textKind,
    placeholder: 'NAME|FILE.json',
    help: 'layers of a model file without them: a built-in model, or a JSON file with a list of layers',
  },
} as const satisfies Options;

interface LoadValues {
  readonly load: string | undefined;
  readonly model: string | undefined;
}

/** Loads the model on the tensor engine. @throws CommandFailure with exit code 2 */
export function openModel(values: LoadValues): Promise<LoadedModel> {
  return load(values, (bytes, model) => loadModel(bytes, { model }));
}

async function load<Value>(
  { load: file, model }: LoadValues,
  read: (bytes: Uint8Array, given: Model | undefined) => Promise<Value>,
): Promise<Value> {
  if (file === undefined) throw usageFailure('--load: expected FILE.safetensors, got none');
  const given = model === undefined ? undefined : modelOf(model);
  const bytes = readOptionBytes('load', file, maxModelFileBytes);
  try {
    return await read(bytes, given);
  } catch (error) {
    throw usageFailure(`--load ${file}: ${errorMessage(error)}`);
  }
}

/** Input files, which would be lost if a command overwrote them. */
export function inputsOf({ load: file, model }: LoadValues): Readonly<Record<string, string | undefined>> {
  return { load: file, model: model !== undefined && isModelFile(model) ? model : undefined };
}

function modelOf(nameOrFile: string): Model {
  const text = modelText(nameOrFile);
  try {
    return resolveModel(text);
  } catch (error) {
    throw usageFailure(`--model ${nameOrFile}: ${errorMessage(error)}`);
  }
}

const exportCommand = {
  name: 'export',
  args: '--load FILE.safetensors --onnx FILE.onnx',
  summary: 'Converts a saved model to ONNX, which many other programs can run.',
  options: {
    ...loadOptions,
    onnx: { kind: textKind, placeholder: 'FILE.onnx', help: 'file for the ONNX model' },
    config: {
      kind: textKind,
      placeholder: 'FILE.json',
      help: "file for the configuration with which transformers' GPT2LMHeadModel loads a gpt model",
    },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function exportModel(args: readonly string[]): Promise<number> {
  const options = readCommandLine(exportCommand, args);
  if (!options) return 0;
  const { onnx, config } = options;
  if (onnx === undefined && config === undefined) {
    throw usageFailure('--onnx: expected FILE.onnx, or --config FILE.json instead, got none');
  }
  requireOutputs({ onnx, config }, inputsOf(options));
  const stored = await load(options, async (bytes, given) => readStoredModel(bytes, given));
  const { model, weights, metadata } = stored;
  const settings = config === undefined ? undefined : configOf(stored);
  const name = shownLine(model.name);
  if (onnx !== undefined) {
    // It says how PyTorch loads the safetensors file.
    const { format: _, ...about } = metadata;
    await saveFile(onnx, writeOnnx(model, weights, about));
    process.stdout.write(`model ${name} written to ${onnx}\n`);
  }
  if (config !== undefined) {
    await saveJson(config, settings);
    process.stdout.write(`configuration of model ${name} written to ${config}\n`);
  }
  return 0;
}

function configOf({ model, targets }: Pick<ModelDescription, 'model' | 'targets'>): object {
  const isOfLines = targets.role === 'next' && targets.lines;
  try {
    // Token 0 begins and ends a line.
    return { ...gpt2Config(model), ...(isOfLines && { bos_token_id: 0, eos_token_id: 0 }) };
  } catch (error) {
    throw usageFailure(`--config: ${errorMessage(error)}`);
  }
}
