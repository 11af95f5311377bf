/** Measures one training in interleaved rounds: Lockstep's runs as programs, the peers as candidates of a case. */
import { CommandFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import type { Case } from '../benchmark.ts';
import {
  type CandidateRunner,
  createRunner,
  type Effort,
  type MissingRow,
  OpenCandidates,
  type Runner,
  runRounds,
} from '../harness.ts';
import { median } from '../statistics.ts';
import type { Training } from './grid.ts';
import { commandOf, type RunSettings, runLockstep, type Workers, workersName } from './lockstep-run.ts';
import { steadyMsPerStep } from './results.ts';
import type { Tabs } from './tabs.ts';

/** One row's measurements, round by round. */
export type Measured =
  | {
      readonly kind: 'lockstep';
      readonly name: string;
      readonly workers: Workers;
      readonly command: string;
      readonly msPerStep: readonly number[];
      readonly reports: readonly Report[];
    }
  | {
      readonly kind: 'peer';
      readonly name: string;
      readonly version: string;
      readonly notes: readonly string[];
      /** Relative distance of the weights' change from the reference. */
      readonly distance: number;
      readonly msPerStep: readonly number[];
    }
  | ({ readonly kind: 'missing' } & Pick<MissingRow, 'status' | 'name' | 'reason'>);

export interface MeasureOptions {
  readonly training: Training;
  /** The first one is the baseline. */
  readonly workers: readonly Workers[];
  /** Undefined if peers are skipped or have no program for the model. */
  readonly peers: Case | undefined;
  readonly tabs: Tabs | undefined;
  readonly rounds: number;
  readonly settings: RunSettings;
  readonly progress: (message: string) => void;
  readonly signal: AbortSignal;
}

/** A peer whose single step takes longer than `budgetMs` is warm after its check, and does one step per round. */
const effort: Omit<Effort, 'rounds'> = { burstMs: 30, warmUpMs: 100, budgetMs: 500 };
/** Bursts of a peer per round. Their median counts, because the system sometimes stalls one for seconds. */
const burstsPerRound = 5;
/** The same for bursts of a single step, which take longer. */
const stepsPerRound = 3;
/** A peer's step that takes longer is measured once: the checked first step. */
const longestStepMs = 1_000;

/** @throws CommandFailure if the baseline cannot run: nothing can be compared without it */
export async function measureTraining(options: MeasureOptions): Promise<readonly Measured[]> {
  const { training, workers, peers, rounds, settings, progress, signal } = options;
  const own = workers.map((each) => lockstepRunner(each, options));
  const opened = peers && new OpenCandidates(peers, { ...effort, rounds });
  try {
    await opened?.open(peers?.candidates ?? [], { progress, signal });
    const runners = (opened?.runners ?? []).map(peerRunner);
    await runRounds([...own, ...runners], { name: training.name, rounds, progress, signal });
  } finally {
    await opened?.close();
  }
  const [baseline] = own;
  if (baseline?.failure !== undefined) {
    throw new CommandFailure(`${training.name}: ${baseline.name}: ${baseline.failure}`, 1);
  }
  return [
    ...own.map(({ name, workers: each, msPerStep, reports, failure }): Measured => {
      if (failure !== undefined) return { kind: 'missing', name, status: 'failed', reason: failure };
      const command = commandOf(training, each, settings);
      return { kind: 'lockstep', name, workers: each, command, msPerStep, reports };
    }),
    ...(peers?.candidates ?? []).map(({ name }) => peerRow(name, opened!)),
  ];
}

function peerRow(name: string, opened: OpenCandidates): Measured {
  const missing = opened.missing(name);
  if (missing) return { kind: 'missing', name, status: missing.status, reason: missing.reason };
  const { implementation, distance, msPerStep } = opened.runner(name)!;
  const { version, notes } = implementation;
  return { kind: 'peer', name, version, notes, distance, msPerStep };
}

/** Takes part in every round, or in none if a step takes very long. */
function peerRunner(candidate: CandidateRunner): Runner {
  const { msPerStep, checkedMsPerStep } = candidate;
  if (checkedMsPerStep > longestStepMs) {
    msPerStep.push(checkedMsPerStep);
    return Object.assign(candidate, { budgetMs: 0 });
  }
  const isOneStep = candidate.stepsPerRound === 1;
  const bursts = checkedMsPerStep > effort.budgetMs ? 1 : isOneStep ? stepsPerRound : burstsPerRound;
  const { burst } = candidate;
  return Object.assign(candidate, {
    budgetMs: Number.POSITIVE_INFINITY,
    async burst() {
      const timed = [];
      for (let count = 0; count < bursts; count++) timed.push(await burst());
      const ms = timed.reduce((sum, each) => sum + each.ms, 0);
      return { ms, msPerStep: median(timed.map((each) => each.msPerStep)) };
    },
  });
}

function lockstepRunner(workers: Workers, { training, settings: asked, tabs }: MeasureOptions) {
  const reports: Report[] = [];
  const settings = { ...asked, data: asked.folder };
  const burst: Runner['burst'] = async () => {
    const report = await (workers.kind === 'tabs'
      ? tabs!.run(training, workers.count, settings)
      : runLockstep(training, workers, settings));
    reports.push(report);
    return { ms: report.wallSeconds * 1000, msPerStep: steadyMsPerStep(report) };
  };
  return { ...createRunner(workersName(workers), burst), workers, reports };
}
