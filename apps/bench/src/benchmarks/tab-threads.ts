/** Whether a second thread in a browser's tab pays off without changing a bit. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { steadyMsPerStep } from '../compare/figures.ts';
import { gridOf, type Training } from '../compare/grid.ts';
import { runLockstep } from '../compare/lockstep-run.ts';
import { digits, ends, times } from '../figure-text.ts';
import { pairedRatios, type Spread, spread } from '../statistics.ts';

const batch = 256;
const steps = 50;
const pairs = 5;
const leastTimes = 1.5;

export const tabThreads: Benchmark = {
  kind: 'inspection',
  name: 'tab-threads',
  title: 'A tab of Chromium with two threads against one, training the small convolutional net',
  method: [
    `${pairs} pairs of runs in turns, ${steps} steps of batch ${batch}, each with one tab as the only worker of a coordinator; its rate is that of`,
    `the last third. Two threads must be at least ${leastTimes} times as fast in the median pair, and end with the weights of one process of Node.`,
  ],
  async facts(progress) {
    const lacks = await lackOf(availableParallelism());
    if (lacks !== undefined) return [{ name: 'two threads in a tab', holds: true, message: lacks, figures: {} }];
    const [training] = gridOf({ model: ['cnn'], batch: [batch], steps, lr: undefined });
    return measure(training!, progress);
  },
};

async function lackOf(cores: number): Promise<string | undefined> {
  if (cores < 2) return 'not measured: this machine has one core';
  // Loaded on demand, because it imports a browser driver and a bundler.
  const { findChromium } = await import('@lockstep/chromium');
  return findChromium() === undefined ? 'not measured: this machine has no Chromium' : undefined;
}

async function measure(training: Training, progress: (message: string) => void): Promise<Fact[]> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-tab-threads-'));
  const settings = { seed: 1, backend: 'auto', threads: 1, data: undefined, folder } as const;
  const tabs = await (await import('../compare/tabs.ts')).openTabs();
  const msPerStep: Record<1 | 2, number[]> = { 1: [], 2: [] };
  const reports: Report[] = [];
  try {
    for (let pair = 0; pair < pairs; pair++) {
      for (const threads of pair % 2 === 0 ? ([1, 2] as const) : ([2, 1] as const)) {
        progress(`tab-threads: pair ${pair + 1} of ${pairs}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`);
        const report = await tabs.run(training, 1, settings, threads);
        msPerStep[threads].push(steadyMsPerStep(report));
        reports.push(report);
      }
    }
    progress('tab-threads: in Node');
    const inNode = await runLockstep(training, { kind: 'threads', count: 1 }, settings);
    return [speedFact(msPerStep[1], msPerStep[2], training.batch), weightsFact(inNode, reports)];
  } finally {
    await tabs.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether two threads give the required speed-up, pair by pair. */
export function speedFact(oneMsPerStep: readonly number[], twoMsPerStep: readonly number[], batchSize: number): Fact {
  const speedUp = spread(pairedRatios(oneMsPerStep, twoMsPerStep));
  const [one, two] = [oneMsPerStep, twoMsPerStep].map((ms) => spread(ms.map((each) => (batchSize / each) * 1000)));
  const rate = ({ median }: Spread): string => `${Math.round(median).toLocaleString('en-US')} images/s`;
  return {
    name: `two threads are ${leastTimes} times as fast as one`,
    holds: speedUp.median >= leastTimes,
    message: `${times(speedUp.median)} ${ends(speedUp, digits)}: ${rate(one!)} with one thread, ${rate(two!)} with two`,
    figures: {
      speedUp: speedUp.median,
      leastSpeedUp: speedUp.min,
      mostSpeedUp: speedUp.max,
      oneThreadImagesPerSecond: one!.median,
      twoThreadsImagesPerSecond: two!.median,
    },
  };
}

function weightsFact(inNode: Report, inTabs: readonly Report[]): Fact {
  const equal = inTabs.filter(({ weightsSha256 }) => weightsSha256 === inNode.weightsSha256).length;
  return {
    name: 'their weights are those of Node',
    holds: equal === inTabs.length,
    message: `${equal} of ${inTabs.length} runs in tabs end with ${inNode.weightsSha256.slice(0, 16)}…`,
    figures: { runs: inTabs.length, equal },
  };
}
