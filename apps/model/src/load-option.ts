/** The options that name a model, and the model that they name. */
import { errorMessage, type Options, readOptionBytes, readOptionFile, text, usageFailure } from '@lockstep/command';
import { type Model, resolveModel } from '@lockstep/nn';
import { type LoadedModel, loadModel } from '@lockstep/train';
import { maxModelFileBytes, readStoredModel, type StoredModel } from '@lockstep/train/command-line';

export const loadOptions = {
  load: { kind: text, placeholder: 'FILE.safetensors', help: 'the model to use, as --save writes it' },
  model: {
    kind: text,
    placeholder: 'NAME|FILE.json',
    help: 'the layers of a file that does not say them: a built-in model, or a layer list',
  },
} as const satisfies Options;

export interface LoadValues {
  readonly load: string | undefined;
  readonly model: string | undefined;
}

/** Loads the model on the tensor engine. @throws CommandFailure with exit code 2 */
export function openModel(values: LoadValues): Promise<LoadedModel> {
  return load(values, (bytes, model) => loadModel(bytes, { model }));
}

/** Reads only the file. @throws CommandFailure with exit code 2 */
export function readModel(values: LoadValues): Promise<StoredModel> {
  return load(values, async (bytes, model) => readStoredModel(bytes, model));
}

async function load<Value>(
  { load: file, model }: LoadValues,
  read: (bytes: Uint8Array, given: Model | undefined) => Promise<Value>,
): Promise<Value> {
  if (file === undefined) throw usageFailure('--load: expected FILE.safetensors, the model to use, got none');
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
  return { load: file, model: model !== undefined && isFile(model) ? model : undefined };
}

function isFile(nameOrFile: string): boolean {
  return nameOrFile.endsWith('.json');
}

function modelOf(nameOrFile: string): Model {
  const text = isFile(nameOrFile) ? readOptionFile('model', nameOrFile) : nameOrFile;
  try {
    return resolveModel(text);
  } catch (error) {
    throw usageFailure(`--model ${nameOrFile}: ${errorMessage(error)}`);
  }
}
