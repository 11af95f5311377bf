/** `predict`: a model's predictions for pictures, lists of values, and the rows of tables. */

import {
  flagKind,
  generalOptions,
  operands,
  percent,
  readCommandLine,
  shownLine,
  significant,
  usageFailure,
  wholeKind,
} from '@lockstep/command';
import type { SampleValues } from '@lockstep/data';
import type { LoadedModel, Prediction } from '@lockstep/train';
import { readSamples, type Sample } from './predict-samples.ts';
import { loadOptions, openModel } from './saved-model.ts';

const commandLine = {
  name: 'predict',
  args: '--load FILE.safetensors [options] FILE…',
  summary: 'Predicts with a saved model: the classes of pictures or lists of values, or the labels of table rows.',
  options: {
    files: operands(
      'FILE…',
      'PNG, JPEG or WebP pictures, .json files with the values of one sample each, or tables like those of training',
    ),
    ...loadOptions,
    invert: { kind: flagKind, help: 'invert pictures before prediction: MNIST digits are light on dark' },
    top: { kind: wholeKind({ from: 1 }), help: 'number of classes to print, most probable first', default: 3 },
    json: { kind: flagKind, help: 'print all scores of each file as JSON' },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function predictFiles(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  const { files, invert, top, json } = options;
  if (files.length === 0) throw usageFailure('predict: expected at least one file, got none');
  const model = await openModel(options);
  const samples: Sample[] = [];
  for (const file of files) for (const sample of await readSamples(file, model, invert)) samples.push(sample);
  const given = joined(samples.map(({ values }) => values));
  const text = await predictionsOf(model, samples, given, { json, top });
  model.dispose();
  process.stdout.write(text);
  return 0;
}

/** Predictions of each sample as lines of text, or as JSON: a class with its scores, or values by name. */
async function predictionsOf(
  model: LoadedModel,
  samples: readonly Sample[],
  values: SampleValues,
  { json, top }: { readonly json: boolean; readonly top: number },
): Promise<string> {
  let results: readonly Result[];
  if (model.values.length > 0) {
    const outputs = await model.predictValues(values);
    results = samples.map((_, index) => ofValues(model.values, outputs[index]!));
  } else {
    const predictions = await model.predict(values);
    results = samples.map((_, index) => ofClasses(model.classes, predictions[index]!, top));
  }
  if (json) {
    const list = samples.map(({ file, reading }, index) => ({ file, reading, ...results[index]!.json }));
    return `${JSON.stringify(list, undefined, 2)}\n`;
  }
  const lines = samples.flatMap(({ file, reading }, index) => {
    const shown = shownLine(file);
    return [...(reading === undefined ? [] : [`${shown}: ${reading}`]), `${shown}: ${results[index]!.text}`];
  });
  return `${lines.join('\n')}\n`;
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
  readonly text: string;
  readonly json: object;
}

/** The class, then the next most probable ones; `scores` are the logits, in the order of the classes. */
function ofClasses(classes: readonly string[], prediction: Prediction, count: number): Result {
  const { class: name, index, probability, probabilities, scores } = prediction;
  // Ties keep the order of the classes.
  const top = classes
    .map((each, at) => ({ class: each, probability: probabilities[at]! }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count);
  const [first, ...others] = top.map((one) => `${shownLine(one.class, nameLength)} ${percent(one.probability)}`);
  const text = others.length === 0 ? first! : `${first}, then ${others.join(', ')}`;
  return { text, json: { class: name, index, probability, top, scores: [...scores] } };
}

function ofValues(names: readonly string[], values: Float32Array): Result {
  const named = names.map((name, index) => `${shownLine(name, nameLength)} ${significant(values[index]!)}`);
  return { text: named.join(', '), json: { values: Object.fromEntries(names.map((name, at) => [name, values[at]!])) } };
}
