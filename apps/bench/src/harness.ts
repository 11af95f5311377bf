/** Measures the candidates of a case: checks each, warms it up, and times all of them in interleaved rounds. */

import { CommandFailure } from '@lockstep/command';
import { errorMessage } from '@lockstep/data/shown';
import type { Candidate, Case, Implementation } from './benchmark.ts';
import { pairedRatios, spread } from './statistics.ts';

/** A runner, timed once in every round. */
export interface Runner {
  readonly name: string;
  /** Timed milliseconds after which a runner skips later rounds. */
  budgetMs: number;
  spentMs: number;
  /** One entry for each round in which it took part. */
  readonly msPerStep: number[];
  failure?: string;
  /** Runs once. Returns the milliseconds per step and of the whole burst. */
  burst(): Promise<{ readonly msPerStep: number; readonly ms: number }>;
}

/** Creates a runner that has not run yet; without a budget it takes part in every round. */
export function createRunner(name: string, burst: Runner['burst'], budgetMs = Number.POSITIVE_INFINITY): Runner {
  return { name, burst, budgetMs, spentMs: 0, msPerStep: [] };
}

export interface RoundOptions {
  readonly name: string;
  readonly rounds: number;
  readonly progress: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Times one burst of every runner in each round. Each round starts one runner further on, so that no runner always
 * follows the same neighbor. A runner that throws stores the reason as its failure, and the rounds go on; an abort ends
 * them.
 */
export async function runRounds(runners: readonly Runner[], options: RoundOptions): Promise<void> {
  const { name, rounds, progress, signal } = options;
  for (let round = 0; round < rounds; round++) {
    const active = runners.filter(({ failure, spentMs, budgetMs }) => failure === undefined && !(spentMs >= budgetMs));
    for (let turn = 0; turn < active.length; turn++) {
      signal?.throwIfAborted();
      const runner = active[(round + turn) % active.length]!;
      progress(`${name}: round ${round + 1} of ${rounds}: ${runner.name}`);
      try {
        const { msPerStep, ms } = await runner.burst();
        runner.msPerStep.push(msPerStep);
        runner.spentMs += ms;
      } catch (error) {
        signal?.throwIfAborted();
        runner.failure = errorMessage(error);
      }
    }
  }
}

/** How long to measure. */
export interface Effort {
  readonly rounds: number;
  /** Target length of one burst, in milliseconds; a burst has at least one step. */
  readonly burstMs: number;
  /** Minimum warm-up of a candidate before it is timed, in milliseconds. */
  readonly warmUpMs: number;
  /** Timed milliseconds after which a slow candidate skips the remaining rounds. */
  readonly budgetMs: number;
}

/** A candidate without a figure. */
export interface MissingRow {
  /** A refused candidate computed something else, so its time means nothing; an absent one is no fault of this code. */
  readonly status: 'refused' | 'absent' | 'failed';
  readonly name: string;
  readonly reason: string;
  readonly version?: string;
  readonly distance?: number;
}

/** A candidate with a correct result, warmed up and ready to be timed. */
export interface CandidateRunner extends Runner {
  readonly implementation: Implementation;
  readonly distance: number;
  /** Milliseconds per checked step. The checked steps were the candidate's first. */
  readonly checkedMsPerStep: number;
  readonly stepsPerRound: number;
}

/** The open candidates of one case, and why the others are not open. */
export class OpenCandidates {
  readonly runners: CandidateRunner[] = [];
  readonly #missing = new Map<string, MissingRow>();
  readonly #subject: Case;
  readonly #effort: Effort;

  constructor(subject: Case, effort: Effort) {
    this.#subject = subject;
    this.#effort = effort;
  }

  async open(candidates: readonly Candidate[], { progress, signal }: Omit<RoundOptions, 'rounds' | 'name'>) {
    for (const candidate of candidates) {
      signal?.throwIfAborted();
      progress(`${this.#subject.name}: ${candidate.name}: checking and warming up`);
      const opened = await this.#open(candidate);
      if ('implementation' in opened) this.runners.push(opened);
      else this.#missing.set(candidate.name, opened);
    }
  }

  runner(name: string): CandidateRunner | undefined {
    return this.runners.find((runner) => runner.name === name);
  }

  /** The reason why a candidate has no figure, or undefined if it has one. */
  missing(name: string): MissingRow | undefined {
    const failure = this.runner(name)?.failure;
    return failure === undefined ? this.#missing.get(name) : { status: 'failed', name, reason: failure };
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.runners.map(({ implementation }) => implementation.close?.()));
  }

  async #open(candidate: Candidate): Promise<CandidateRunner | MissingRow> {
    const { name } = candidate;
    const { checkedSteps, tolerance } = this.#subject;
    let implementation: Implementation | undefined;
    let isReady = false;
    try {
      const opened = await candidate.open();
      if ('absent' in opened) return { status: 'absent', name, reason: opened.absent };
      implementation = opened;
      const checkedMsPerStep = (await runBurst(opened, checkedSteps)) / checkedSteps;
      const distance = this.#subject.distance(await opened.result());
      if (!(distance <= tolerance)) {
        const reason = `computes something else: relative distance at most ${tolerance} expected after ${checkedSteps} steps, got ${distance}`;
        return { status: 'refused', name, version: opened.version, distance, reason };
      }
      // A single step that takes more than the whole budget is warm enough.
      const isSlow = checkedMsPerStep > this.#effort.budgetMs;
      const stepsPerRound = isSlow ? 1 : await warmUp(opened, checkedSteps, this.#effort);
      const burst = async () => {
        const ms = await runBurst(opened, stepsPerRound);
        return { ms, msPerStep: ms / stepsPerRound };
      };
      isReady = true;
      const runner = createRunner(name, burst, this.#effort.budgetMs);
      return { ...runner, implementation, distance, checkedMsPerStep, stepsPerRound };
    } catch (error) {
      return { status: 'failed', name, reason: errorMessage(error) };
    } finally {
      if (!isReady) await implementation?.close?.().catch(() => undefined);
    }
  }
}

/** If bursts never agree on their length, the warm-up ends after this multiple of its minimum. */
const longestWarmUp = 20;

/** Milliseconds of `steps` steps from the initial state. */
async function runBurst(implementation: Implementation, steps: number): Promise<number> {
  await implementation.reset?.();
  return implementation.run(steps);
}

/**
 * Runs longer and longer bursts until the warm-up is over and a burst has about the target length: the first bursts
 * include compilation. Returns the steps of a burst.
 */
async function warmUp(implementation: Implementation, firstSteps: number, effort: Effort): Promise<number> {
  let steps = firstSteps;
  let spentMs = 0;
  for (let bursts = 1; ; bursts++) {
    const ms = await runBurst(implementation, steps);
    spentMs += ms;
    if (!(ms > 0)) throw new Error(`its clock must move: more than 0 ms expected for ${steps} steps, got ${ms}`);
    const aimed = Math.max(1, Math.round((steps * effort.burstMs) / ms));
    const isAimed = bursts > 1 && aimed <= 2 * steps && steps <= 2 * aimed;
    if (spentMs >= effort.warmUpMs && (isAimed || spentMs >= longestWarmUp * effort.warmUpMs)) return aimed;
    steps = Math.min(aimed, steps * 4);
  }
}

/** A candidate's figures. */
export type MeasuredRow = ReturnType<typeof measuredRow>;
export type Row = MeasuredRow | MissingRow;

/** All rows of a case, in the order of its candidates. */
export type CaseResult = Awaited<ReturnType<typeof measureCase>>;

/**
 * Runs a case. A candidate that cannot open, fails or computes something else gets a row that says so. Nothing can be
 * compared without the baseline: if this machine lacks it, the whole case is absent.
 *
 * @throws CommandFailure if the baseline fails or computes something else
 */
export async function measureCase(subject: Case, effort: Effort, progress: (message: string) => void) {
  const { name, candidates, workPerStep, tolerance } = subject;
  const [baseline, ...others] = candidates;
  if (baseline === undefined) throw new RangeError(`${name}: at least one candidate expected, got none`);
  const result = { name, baseline: baseline.name, workPerStep, tolerance };
  const opened = new OpenCandidates(subject, effort);
  try {
    await opened.open([baseline], { progress });
    const missing = opened.missing(baseline.name);
    if (missing?.status === 'absent') return { ...result, rounds: 0, rows: absentRows(subject, missing.reason) };
    await opened.open(others, { progress });
    const { runners } = opened;
    const [baselineRunner] = runners;
    // Every ratio needs the baseline's rounds, however slow they are.
    if (missing === undefined) baselineRunner!.budgetMs = Number.POSITIVE_INFINITY;
    await runRounds(runners, { name, rounds: effort.rounds, progress });
    const lost = opened.missing(baseline.name);
    if (lost) throw new CommandFailure(`${name}: the baseline ${lost.name} cannot be measured: ${lost.reason}`, 1);
    const rows = candidates.map(
      (each): Row => opened.missing(each.name) ?? measuredRow(opened.runner(each.name)!, baselineRunner!),
    );
    return { ...result, rounds: effort.rounds, rows };
  } finally {
    await opened.close();
  }
}

function absentRows({ candidates }: Case, reason: string): Row[] {
  const because = `not measured, since ${candidates[0]!.name} is absent`;
  return candidates.map(({ name }, index) => ({ status: 'absent', name, reason: index === 0 ? reason : because }));
}

function measuredRow(runner: CandidateRunner, baseline: CandidateRunner) {
  const { name, implementation, distance, stepsPerRound, msPerStep } = runner;
  const { version, notes } = implementation;
  const rounds = msPerStep.length;
  const figures = { status: 'measured' as const, name, version, notes, distance, stepsPerRound };
  return {
    ...figures,
    /** Rounds in which the candidate took part, counted from the first. */
    rounds,
    msPerStep: spread(msPerStep),
    /** Its milliseconds over the baseline's, round by round: 2 means that the baseline is twice as fast. */
    timesBaseline: spread(pairedRatios(msPerStep, baseline.msPerStep.slice(0, rounds))),
  };
}
