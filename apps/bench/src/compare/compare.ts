/** Measures the whole grid, prints each part as it completes, and gathers the report. */
import { availableParallelism } from 'node:os';
import type { Dataset } from '@lockstep/data';
import type { CompareOptions } from '../options.ts';
import { describeMachine, machineLines, type Output } from '../output.ts';
import { PytorchGroup } from '../peers/pytorch.ts';
import { evaluatedImages, type Training, workerCounts } from './grid.ts';
import type { Workers } from './lockstep-run.ts';
import { measureTraining } from './measure.ts';
import { peerCase, peerNet, peerWork } from './peers.ts';
import { ddpRanks, resultOf, type TrainingResult } from './results.ts';
import type { Tabs } from './tabs.ts';
import { conclusionOf, resultLines } from './text.ts';

export interface CompareContext {
  readonly options: CompareOptions;
  readonly grid: readonly Training[];
  readonly train: Dataset;
  readonly folder: string;
  readonly output: Output;
  readonly version: string;
  readonly signal: AbortSignal;
}

/** All measurements of a comparison; times in milliseconds unless stated otherwise. */
export type CompareReport = Awaited<ReturnType<typeof compare>>;

export async function compare(context: CompareContext) {
  const { options, grid, train, output, version } = context;
  const { rounds } = options;
  const startedAt = new Date();
  const machine = describeMachine();
  output.print(
    ...machineLines(machine),
    `Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}, ratios taken round by round. Each run of Lockstep is the program itself, without its`,
    `start-up and first two thirds; it trains on ${train.count.toLocaleString('en-US')} images and evaluates ${evaluatedImages.toLocaleString('en-US')}. Peers take the same batches from the same`,
    'weights, ready as float32, in their fastest form; a round of theirs is the median of some bursts.',
  );
  // Loaded on demand, because it imports a browser driver and a bundler.
  const tabs = options.browser ? await (await import('./tabs.ts')).openTabs() : undefined;
  const group = new PytorchGroup(ddpRanks);
  const results: TrainingResult[] = [];
  try {
    for (const training of grid) results.push(await compareTraining(context, training, tabs, group));
  } finally {
    await group.close();
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
    accuracy: options.accuracy / 100,
    results,
    conclusion,
  };
}

async function compareTraining(
  { options, train, folder, output, signal }: CompareContext,
  training: Training,
  tabs: Tabs | undefined,
  group: PytorchGroup,
) {
  const { rounds, seed, 'no-peers': noPeers } = options;
  const accuracy = options.accuracy / 100;
  const net = noPeers ? undefined : peerNet(training);
  const measured = await measureTraining({
    training,
    workers: workersOf(options, tabs !== undefined),
    peers: net && (await peerCase(training, peerWork(training, net, train, seed), group)),
    tabs,
    rounds,
    settings: { ...options, folder },
    progress: output.progress,
    signal,
  });
  const result = resultOf(training, measured, accuracy);
  output.print('', ...resultLines(result, accuracy));
  if (net === undefined && !noPeers) {
    output.print('  no peers: they have programs for 784-hidden-10 and for the built-in cnn only');
  }
  return result;
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
