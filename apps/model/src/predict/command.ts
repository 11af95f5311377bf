/** `npm run predict`: a model's predictions for pictures and lists of values. */
import { flag, generalOptions, operands, readCommandLine, usageFailure, whole } from '@lockstep/command';
import type { SampleValues } from '@lockstep/nn';
import type { LoadedModel } from '@lockstep/train';
import { loadOptions, openModel } from '../load-option.ts';
import { predictionJson, predictionText, valuesJson, valuesText } from './output.ts';
import { readSamples, type Sample } from './sample.ts';

const commandLine = {
  name: 'predict',
  args: '--load FILE.safetensors [options] FILE…',
  summary: 'Says what a saved model sees in pictures, in lists of values, or in the rows of tables.',
  options: {
    files: operands(
      'FILE…',
      'PNG, JPEG or WebP pictures, .json files with the values of one sample each, or tables like those of training',
    ),
    ...loadOptions,
    invert: { kind: flag, help: 'turn dark on light into light on dark, as in MNIST, before the model sees a picture' },
    top: { kind: whole({ from: 1 }), help: 'how many classes to name, the most probable first', default: 3 },
    json: { kind: flag, help: 'print JSON: all scores of each file' },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function predict(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  const { files, invert, top, json } = options;
  if (files.length === 0) throw usageFailure('predict: expected one or more files to read, got none');
  const model = await openModel(options);
  const samples: Sample[] = [];
  for (const file of files) for (const sample of await readSamples(file, model, invert)) samples.push(sample);
  const given = joined(samples.map(({ values }) => values));
  const text = await predictionsOf(model, samples, given, { json, top });
  model.dispose();
  process.stdout.write(text);
  return 0;
}

async function predictionsOf(
  model: LoadedModel,
  samples: readonly Sample[],
  values: SampleValues,
  { json, top }: { readonly json: boolean; readonly top: number },
): Promise<string> {
  if (model.values.length > 0) {
    const outputs = await model.predictValues(values);
    const results = samples.map((sample, index) => ({ sample, values: outputs[index]! }));
    return json ? valuesJson(results, model.values) : valuesText(results, model.values);
  }
  const predictions = await model.predict(values);
  const results = samples.map((sample, index) => ({ sample, prediction: predictions[index]! }));
  return json ? predictionJson(results, model.classes, top) : predictionText(results, model.classes, top);
}

/** Concatenates samples of one type, which the model takes. */
function joined(parts: readonly SampleValues[]): SampleValues {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = parts[0] instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
