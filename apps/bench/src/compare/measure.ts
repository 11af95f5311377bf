/** Measures one training by everybody in interleaved rounds: our runs as programs, peers as contenders. */
import { CommandFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { type Effort, enter, type Row, type Runner, runBurst } from '../harness.ts';
import type { Case } from '../question.ts';
import { steadyMsPerStep } from './figures.ts';
import type { Training } from './grid.ts';
import { type Crew, type RunSettings, runLockstep, trainingArguments } from './lockstep-run.ts';
import type { Tabs } from './tabs.ts';

/** What came of one row; everything that was measured, round by round. */
export type Measured =
  | {
      readonly kind: 'lockstep';
      readonly name: string;
      readonly crew: Crew;
      /** What a person types to train the same. */
      readonly command: string;
      readonly msPerStep: readonly number[];
      readonly reports: readonly Report[];
    }
  | {
      readonly kind: 'peer';
      readonly name: string;
      readonly version: string;
      readonly notes: readonly string[];
      /** Relative distance of its change of the weights from the true one, after the judged steps. */
      readonly distance: number;
      readonly msPerStep: readonly number[];
    }
  | {
      readonly kind: 'missing';
      readonly name: string;
      /** `absent` is no fault of this code; the others are. */
      readonly why: 'absent' | 'refused' | 'failed';
      readonly reason: string;
    };

export interface MeasureOptions {
  readonly training: Training;
  /** The first is the baseline. */
  readonly crews: readonly Crew[];
  /** Undefined where peers are left out, or have no program for the model. */
  readonly peers: Case | undefined;
  readonly tabs: Tabs | undefined;
  readonly rounds: number;
  readonly settings: RunSettings;
  readonly progress: (message: string) => void;
  readonly signal: AbortSignal;
}

const effort: Omit<Effort, 'rounds'> = { burstMs: 200, warmUpMs: 200, budgetMs: 2_000 };

interface Own {
  readonly name: string;
  readonly crew: Crew;
  readonly msPerStep: number[];
  readonly reports: Report[];
  failure?: string;
}

export function crewName(crew: Crew): string {
  if (crew.kind === 'single') return 'one process';
  const noun = crew.kind === 'tabs' ? 'tab' : 'worker';
  return `${crew.count} ${noun}${crew.count === 1 ? '' : 's'}`;
}

/** @throws CommandFailure where the baseline could not be run: nothing can be compared then. */
export async function measureTraining(options: MeasureOptions): Promise<readonly Measured[]> {
  const { training, crews, peers, tabs, rounds, settings, progress, signal } = options;
  const own: Own[] = crews.map((crew) => ({ name: crewName(crew), crew, msPerStep: [], reports: [] }));
  const rows = new Map<string, Row>();
  const runners: Runner[] = [];
  try {
    for (const entrant of peers?.entrants ?? []) {
      signal.throwIfAborted();
      progress(`${training.name}: ${entrant.name}: checking and warming up`);
      const entered = await enter(peers!, entrant, { ...effort, rounds });
      if ('contender' in entered) {
        runners.push(entered);
        // So slow that its first step has used up its time: that step is its measurement.
        if (entered.judgedMsPerStep > effort.budgetMs) {
          entered.msPerStep.push(entered.judgedMsPerStep);
          entered.spentMs = entered.judgedMsPerStep;
        }
      } else rows.set(entrant.name, entered);
    }
    for (let round = 0; round < rounds; round++) {
      const turns = [...own, ...runners.filter(({ name, spentMs }) => !rows.has(name) && spentMs < effort.budgetMs)];
      for (let turn = 0; turn < turns.length; turn++) {
        signal.throwIfAborted();
        const who = turns[(round + turn) % turns.length]!;
        progress(`${training.name}: round ${round + 1} of ${rounds}: ${who.name}`);
        if ('crew' in who) await runOwn(who, training, settings, tabs, signal);
        else await runPeer(who, rows);
      }
    }
  } finally {
    await Promise.allSettled(runners.map(({ contender }) => contender.close()));
  }
  if (own[0]?.failure !== undefined) throw new CommandFailure(`${training.name}: ${own[0].name}: ${own[0].failure}`, 1);
  const arguments_ = (crew: Crew): string => trainingArguments(training, crew, settings).join(' ');
  return [
    ...own.map((row): Measured => {
      const { name, crew, msPerStep, reports, failure } = row;
      if (failure !== undefined) return { kind: 'missing', name, why: 'failed', reason: failure };
      const program = crew.kind === 'tabs' ? 'coordinator' : 'start';
      const npm = program === 'start' ? 'npm start --' : 'npm run coordinator --';
      return { kind: 'lockstep', name, crew, command: `${npm} ${arguments_(crew)}`, msPerStep, reports };
    }),
    ...(peers?.entrants ?? []).map(({ name }): Measured => {
      const row = rows.get(name);
      const runner = runners.find((each) => each.name === name);
      if (row !== undefined && row.status !== 'measured') {
        return { kind: 'missing', name, why: row.status, reason: row.reason };
      }
      const { contender, verdict, msPerStep } = runner!;
      const { version, notes } = contender;
      return { kind: 'peer', name, version, notes, distance: verdict.distance, msPerStep };
    }),
  ];
}

async function runOwn(
  own: Own,
  training: Training,
  settings: RunSettings,
  tabs: Tabs | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (own.failure !== undefined) return;
  try {
    const { crew } = own;
    const report =
      crew.kind === 'tabs'
        ? await tabs!.run(training, crew.count, settings)
        : await runLockstep(training, crew, settings);
    own.msPerStep.push(steadyMsPerStep(report));
    own.reports.push(report);
  } catch (error) {
    signal.throwIfAborted();
    own.failure = errorMessage(error);
  }
}

async function runPeer(runner: Runner, rows: Map<string, Row>): Promise<void> {
  try {
    await runBurst(runner);
  } catch (error) {
    rows.set(runner.name, { status: 'failed', name: runner.name, reason: errorMessage(error) });
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
