/** Checks of plain data. Every error is one sentence. */
import { type ArgumentKind, argumentKinds, listArgument, objectWith } from '@lockstep/data';
import { shownValue } from '@lockstep/data/shown';
import * as v from 'valibot';

/**
 * Returns `value` as the schema's type.
 * Throws an Error such as "optimizer: learningRate: expected a number above 0, got 0". @param what may be empty
 */
export function check<Output>(what: string, schema: v.GenericSchema<unknown, Output>, value: unknown): Output {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = issue.path ? pathText(issue.path) : '';
  throw new Error([what, path, issueText(issue)].filter((part) => part !== '').join(': '));
}

/** Schema for a whole number from `minimum` to `maximum`, both included. */
export function wholeNumberFrom(minimum: number, maximum: number) {
  const message = `expected a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(minimum, message), v.maxValue(maximum, message));
}

/** Schema for a finite number that passes `test`; `message` says what was expected. */
export function finiteNumber(message: string, test: (value: number) => boolean) {
  return v.pipe(v.number(message), v.finite(message), v.check(test, message));
}

export const positive = finiteNumber('expected a number above 0', (value) => value > 0);
export const nonNegative = finiteNumber('expected a number of at least 0', (value) => value >= 0);
export const fraction = finiteNumber('expected a number from 0 to 1', (value) => value >= 0 && value <= 1);
export const fractionBelowOne = finiteNumber('expected a number from 0 to below 1', (value) => value >= 0 && value < 1);

function pathText(path: readonly v.IssuePathItem[]): string {
  let text = '';
  for (const { key } of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}

function issueText(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' || issue.type === 'object') {
    if (issue.expected === 'never') return 'unknown entry';
    if (issue.expected?.startsWith('"')) return 'expected a value, got none';
  }
  const message = issue.message.startsWith('Invalid ') ? `expected ${alternatives(issue.expected)}` : issue.message;
  // The message of a check over several settings already names them.
  const coversSeveral = issue.type === 'check' && typeof issue.input === 'object';
  return coversSeveral ? message : `${message}, got ${shownValue(issue.input)}`;
}

/** Rewords valibot's notation for an object, and for a choice, `("dense" | "relu")`. */
function alternatives(expected: string | null): string {
  if (expected === 'Object') return 'an object';
  const choices = (expected ?? 'something else')
    .replace(/^\((.*)\)$/, '$1')
    .replaceAll('"', '')
    .split(' | ');
  return choices.length > 1 ? `one of ${choices.join(', ')}` : choices[0]!;
}

/** Kinds of arguments of this package's functions. */
export const kinds = {
  ...argumentKinds,
  backend: objectWith('a backend, which openBackend gives', 'allocate', 'prepare'),
  storage: objectWith('a storage, which a backend allocates', 'length'),
  tensor: objectWith('a tensor', 'shape', 'storage'),
  model: {
    expected: 'a model, which parseModel and resolveModel give',
    accepts: (value) => objectWith('', 'input', 'layers').accepts(value) && Array.isArray((value as Lists)['layers']),
  },
  metadata: objectWith('metadata, texts by their names'),
  tape: objectWith('a tape, which recordPrediction and recordLoss give', 'ops', 'inputs'),
  opTable: objectWith('a table of ops', 'constant'),
  file: objectWith('an object with tensors and metadata', 'tensors', 'metadata'),
  description: objectWith('an object with samples and targets', 'samples', 'targets'),
  origin: objectWith('an object with lockstep, seed, steps and weightsSha256', 'lockstep', 'seed'),
  fit: objectWith('an object with sampleShape and outputs', 'sampleShape', 'outputs'),
  sampling: objectWith('an object with temperature and random', 'temperature', 'random'),
  shard: objectWith('an object with microbatches and microbatchSize', 'microbatches', 'microbatchSize'),
  step: objectWith('an object with step, samples and storages', 'step', 'samples', 'slots'),
  ranges: listArgument('ranges of parameters'),
  tensors: listArgument('tensors'),
  shape: listArgument('sizes'),
} as const satisfies Readonly<Record<string, ArgumentKind>>;

type Lists = Readonly<Record<string, unknown>>;
