/** `predict`: a model's predictions for pictures, lists of values, and the rows of tables. */

import {
  commandText,
  flagKind,
  generalOptions,
  operands,
  percent,
  plural,
  readCommandLine,
  requireOutputs,
  saveFile,
  shownLine,
  significant,
  textKind,
  usageFailure,
  wholeKind,
} from '@lockstep/command';
import { numbersLike, type SampleValues } from '@lockstep/data';
import { fileIdentity } from '@lockstep/data/files';
import { tableOf } from '@lockstep/data/readers';
import type { LoadedModel, Prediction } from '@lockstep/train';
import { readSamples, type Sample } from './predict-samples.ts';
import { inputsOf, loadOptions, openModel } from './saved-model.ts';

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
    out: {
      kind: textKind,
      placeholder: 'FILE.csv',
      help: 'file for the predictions: a row for each sample, with the columns of a table that the model does not see',
    },
    probabilities: {
      kind: flagKind,
      help: 'with --out: a column with the probability of each class',
      with: { oneOf: ['out'], expected: '--out FILE.csv, which gets the columns' },
    },
    json: { kind: flagKind, help: 'print all scores of each file as JSON' },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function predictFiles(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  const { files, invert, top, json, out, probabilities } = options;
  if (files.length === 0) throw usageFailure('predict: expected at least one file, got none');
  requireOutputs({ out }, inputsOf(options));
  const identity = out === undefined ? undefined : fileIdentity(out);
  if (identity !== undefined && files.some((file) => fileIdentity(file) === identity)) {
    throw usageFailure(`--out: expected a file other than those to predict, got ${out}`);
  }
  const model = await openModel(options);
  if (model.classes.length + model.values.length === 0) {
    throw usageFailure(
      `predict: expected a model of classes or values, got one that writes text: use ${commandText('generate', `--load ${options.load}`)}`,
    );
  }
  if (model.values.length > 0) {
    const unused = top !== commandLine.options.top.default ? 'top' : probabilities ? 'probabilities' : undefined;
    if (unused) throw usageFailure(`--${unused}: expected a model of classes, got one that predicts values`);
  }
  const samples: Sample[] = [];
  for (const file of files) for (const sample of await readSamples(file, model, invert)) samples.push(sample);
  const results = await resultsOf(model, joined(samples.map(({ values }) => values)), top);
  model.dispose();
  if (out !== undefined) await saveFile(out, csvOf(rowsOf(model, samples, results, probabilities)));
  if (out === undefined || json) process.stdout.write(textOf(samples, results, json));
  else process.stdout.write(`${plural(samples.length, 'prediction')} written to ${out}\n`);
  return 0;
}

async function resultsOf(model: LoadedModel, values: SampleValues, top: number): Promise<readonly Result[]> {
  if (model.values.length > 0) {
    return (await model.predictValues(values)).map((outputs) => ofValues(model.values, outputs));
  }
  return (await model.predict(values)).map((prediction) => ofClasses(model.classes, prediction, top));
}

/** Predictions of each sample as lines of text, or as JSON: a class with its scores, or values by name. */
function textOf(samples: readonly Sample[], results: readonly Result[], json: boolean): string {
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

type Cells = Readonly<Record<string, string>>;

/**
 * The rows of a file of predictions: the other columns of a table, or the name of another file; then the label, as in
 * the training table, or `predicted LABEL` if the rows have one; then the probabilities.
 */
function rowsOf(
  { reading, classes }: LoadedModel,
  samples: readonly Sample[],
  results: readonly Result[],
  probabilities: boolean,
): readonly Cells[] {
  const table = tableOf(reading);
  const given = new Set(samples.flatMap(({ others }) => Object.keys(others)));
  const free = (name: string): string => (given.has(name) ? free(`predicted ${name}`) : name);
  const label = table?.label ?? 'class';
  return samples.map(({ file, others }, index) => {
    const { cells } = results[index]!;
    const predicted = 'values' in cells ? cells.values : { [label]: cells.class };
    const scored = probabilities && 'class' in cells ? cells.probabilities : [];
    const entries = [
      ...Object.entries(predicted),
      ...scored.map((probability, at) => [`probability ${classes[at]}`, `${probability}`] as const),
    ];
    return {
      ...(table ? others : { file }),
      ...Object.fromEntries(entries.map(([name, cell]) => [free(name), cell])),
    };
  });
}

/** CSV as in RFC 4180, with the columns of all rows. A cell that would not be read as it is stands in quotes. */
function csvOf(rows: readonly Cells[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const quoted = (cell: string): string =>
    /[",;\t\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const lines = [names, ...rows.map((row) => names.map((name) => row[name] ?? ''))];
  return lines.map((cells) => `${cells.map(quoted).join()}\n`).join('');
}

/** The shortest decimal number that is this float32. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return `${short}`;
  }
  return `${Number(value.toPrecision(9))}`;
}

/** Concatenates samples of one type, which the model takes. */
function joined(parts: readonly SampleValues[]): SampleValues {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = numbersLike(parts[0] ?? new Uint8Array(), length);
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
  /** Content of a file of predictions. */
  readonly cells:
    | { readonly class: string; readonly probabilities: readonly number[] }
    | { readonly values: Readonly<Record<string, string>> };
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
  const json = { class: name, index, probability, top, scores: [...scores] };
  return { text, json, cells: { class: name, probabilities } };
}

function ofValues(names: readonly string[], values: Float32Array): Result {
  const named = names.map((name, index) => `${shownLine(name, nameLength)} ${significant(values[index]!)}`);
  const byName = <Value>(cellOf: (value: number) => Value) =>
    Object.fromEntries(names.map((name, index) => [name, cellOf(values[index]!)]));
  return { text: named.join(', '), json: { values: byName(Number) }, cells: { values: byName(shortest) } };
}
