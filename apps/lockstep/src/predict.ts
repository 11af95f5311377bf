/** `predict`: a model's predictions for pictures, lists of values, and the rows of tables. */
import {
  flag,
  generalOptions,
  operands,
  percent,
  readCommandLine,
  shownLine,
  significant,
  usageFailure,
  whole,
} from '@lockstep/command';
import type { SampleValues } from '@lockstep/nn';
import type { LoadedModel, Prediction } from '@lockstep/train';
import { readSamples, type Sample } from './predict-samples.ts';
import { loadOptions, openModel } from './saved-model.ts';

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

const nameLength = 60;

interface Result {
  readonly sample: Sample;
  readonly prediction: Prediction;
}

interface Ranked {
  readonly class: string;
  readonly probability: number;
}

/** For each file: how it was read, its class, then the next most probable ones. */
function predictionText(results: readonly Result[], classes: readonly string[], top: number): string {
  const lines = results.flatMap(({ sample, prediction }) => {
    const [first, ...others] = ranked(prediction, classes, top).map(
      (one) => `${shownLine(one.class, nameLength)} ${percent(one.probability)}`,
    );
    const next = others.length === 0 ? '' : `, then ${others.join(', ')}`;
    return [...readingLines(sample), `${shownLine(sample.file)}: ${first}${next}`];
  });
  return `${lines.join('\n')}\n`;
}

/** A list with one object per file; `scores` are the logits, in the order of the classes. */
function predictionJson(results: readonly Result[], classes: readonly string[], top: number): string {
  const list = results.map(({ sample, prediction }) => ({
    file: sample.file,
    reading: sample.reading,
    class: prediction.class,
    index: prediction.index,
    probability: prediction.probability,
    top: ranked(prediction, classes, top),
    scores: [...prediction.scores],
  }));
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/** Most probable first; ties keep the order of the classes. */
function ranked({ probabilities }: Prediction, classes: readonly string[], top: number): Ranked[] {
  return classes
    .map((name, index) => ({ class: name, probability: probabilities[index]! }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

interface ValueResult {
  readonly sample: Sample;
  /** The predicted values, in the order of their names. */
  readonly values: Float32Array;
}

/** For each file: how it was read, then the predicted values by name. */
function valuesText(results: readonly ValueResult[], names: readonly string[]): string {
  const lines = results.flatMap(({ sample, values }) => {
    const named = names.map((name, index) => `${shownLine(name, nameLength)} ${significant(values[index]!)}`);
    return [...readingLines(sample), `${shownLine(sample.file)}: ${named.join(', ')}`];
  });
  return `${lines.join('\n')}\n`;
}

/** A list with one object per file. */
function valuesJson(results: readonly ValueResult[], names: readonly string[]): string {
  const list = results.map(({ sample, values }) => ({
    file: sample.file,
    reading: sample.reading,
    values: Object.fromEntries(names.map((name, index) => [name, values[index]!])),
  }));
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

function readingLines({ file, reading }: Sample): string[] {
  return reading === undefined ? [] : [`${shownLine(file)}: ${reading}`];
}
