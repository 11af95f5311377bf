/** Measures the whole grid, prints each part as it is known, and gathers the report. */
import type { Dataset } from '@lockstep/data';
import { describeMachine } from '../machine.ts';
import { pytorchGroup } from '../peers/pytorch-ddp.ts';
import { machineLines } from '../table.ts';
import type { Output } from '../terminal.ts';
import { type Training, workerCounts } from './grid.ts';
import type { Crew } from './lockstep-run.ts';
import { measureTraining } from './measure.ts';
import type { CompareOptions } from './options.ts';
import { ddpRanks } from './peer-names.ts';
import { peerCase, peerNet, peerWork } from './peers.ts';
import { type CompareReport, resultOf, type TrainingResult } from './results.ts';
import { resultLines } from './table.ts';
import { verdictOf } from './verdict.ts';

export interface Asked {
  readonly options: CompareOptions;
  readonly grid: readonly Training[];
  readonly train: Dataset;
  /** For reports on their way. */
  readonly folder: string;
  readonly output: Output;
  readonly version: string;
  readonly signal: AbortSignal;
}

const usualWorkers = 2;

export async function compare(asked: Asked): Promise<CompareReport> {
  const { options, grid, train, folder, output, version, signal } = asked;
  const { rounds, seed, backend, threads, data } = options;
  const startedAt = new Date();
  const machine = describeMachine();
  const accuracy = options.accuracy / 100;
  for (const line of [...machineLines(machine), ...methodLines(rounds)]) output.print(line);
  const counts = workerCounts(options.workers ?? usualWorkers);
  // Loaded on demand: it brings a browser's driver and a bundler.
  const tabs = options.browser ? await (await import('./tabs.ts')).openTabs() : undefined;
  const crews: Crew[] = [
    { kind: 'single' },
    ...counts.map((count): Crew => ({ kind: 'workers', count })),
    ...(tabs === undefined ? [] : counts.map((count): Crew => ({ kind: 'tabs', count }))),
  ];
  const group = pytorchGroup(ddpRanks);
  const results: TrainingResult[] = [];
  try {
    for (const training of grid) {
      const net = options['no-peers'] ? undefined : peerNet(training);
      const peers = net === undefined ? undefined : peerCase(training, peerWork(training, net, train, seed), group);
      const measured = await measureTraining({
        training,
        crews,
        peers,
        tabs,
        rounds,
        settings: { seed, backend, threads, data, folder },
        progress: output.progress,
        signal,
      });
      const result = resultOf(training, measured, accuracy);
      results.push(result);
      for (const line of ['', ...resultLines(result, accuracy)]) output.print(line);
      if (net === undefined && !options['no-peers']) {
        output.print('  no peers: they have programs for 784-hidden-10 and for the built-in cnn only');
      }
    }
  } finally {
    await group.close();
    await tabs?.close();
  }
  const verdict = verdictOf(results);
  for (const line of ['', ...verdict, '']) output.print(line);
  const wallSeconds = (Date.now() - startedAt.getTime()) / 1000;
  return {
    compare: 1,
    lockstep: version,
    startedAt: startedAt.toISOString(),
    wallSeconds,
    machine,
    rounds,
    accuracy,
    results,
    verdict,
  };
}

function methodLines(rounds: number): string[] {
  return [
    `Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}, ratios taken round by round. Each run of ours is the program itself, without its`,
    'start-up and first half. Peers take the same batches from the same weights, ready as float32, in their fastest form.',
  ];
}
