/** Measures the whole grid, prints each part as it is known, and gathers the report. */
import type { Dataset } from '@lockstep/data';
import { describeMachine, machineLines } from '../machine.ts';
import { PytorchGroup } from '../peers/pytorch.ts';
import type { Output } from '../terminal.ts';
import { conclusionOf } from './conclusion.ts';
import { type Training, workerCounts } from './grid.ts';
import type { Workers } from './lockstep-run.ts';
import { measureTraining } from './measure.ts';
import type { CompareOptions } from './options.ts';
import { ddpRanks } from './peer-names.ts';
import { peerCase, peerNet, peerWork } from './peers.ts';
import { resultLines } from './result-text.ts';
import { type CompareReport, resultOf, type TrainingResult } from './results.ts';
import type { Tabs } from './tabs.ts';

export interface CompareContext {
  readonly options: CompareOptions;
  readonly grid: readonly Training[];
  readonly train: Dataset;
  /** For the reports of single runs. */
  readonly folder: string;
  readonly output: Output;
  readonly version: string;
  readonly signal: AbortSignal;
}

const defaultWorkers = 2;

export async function compare(context: CompareContext): Promise<CompareReport> {
  const { options, grid, output, version } = context;
  const { rounds } = options;
  const startedAt = new Date();
  const machine = describeMachine();
  output.print(...machineLines(machine), ...methodLines(rounds));
  // Loaded on demand: it brings a browser's driver and a bundler.
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
    compare: 1,
    lockstep: version,
    startedAt: startedAt.toISOString(),
    wallSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds,
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
): Promise<TrainingResult> {
  const { rounds, seed, 'no-peers': noPeers } = options;
  const accuracy = options.accuracy / 100;
  const net = noPeers ? undefined : peerNet(training);
  const measured = await measureTraining({
    training,
    workers: workersOf(options, tabs !== undefined),
    peers: net && peerCase(training, peerWork(training, net, train, seed), group),
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

/** The single process first, as the baseline. */
function workersOf({ workers = defaultWorkers }: CompareOptions, hasTabs: boolean): Workers[] {
  const counts = workerCounts(workers);
  return [
    { kind: 'single' },
    ...counts.map((count): Workers => ({ kind: 'workers', count })),
    ...(hasTabs ? counts.map((count): Workers => ({ kind: 'tabs', count })) : []),
  ];
}

function methodLines(rounds: number): string[] {
  return [
    `Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}, ratios taken round by round. Each run of Lockstep is the program itself, without its`,
    'start-up and first half. Peers take the same batches from the same weights, ready as float32, in their fastest form.',
  ];
}
