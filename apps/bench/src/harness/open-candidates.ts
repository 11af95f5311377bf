/** Opens the candidates of a case: checks each against the reference, then warms it up. */
import { errorMessage } from '@lockstep/command';
import type { Case, Check } from '../benchmark.ts';
import type { Candidate, Implementation } from './candidate.ts';
import { createRunner, type RoundOptions, type Runner } from './rounds.ts';

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
  readonly check?: Check;
}

/** A candidate with a correct result, warmed up and ready to be timed. */
export interface CandidateRunner extends Runner {
  readonly implementation: Implementation;
  readonly check: Check;
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
      const check = this.#subject.check(await opened.result());
      if (!(check.distance <= tolerance)) {
        const reason = `computes something else: relative distance at most ${tolerance} expected after ${checkedSteps} steps, got ${check.distance}`;
        return { status: 'refused', name, version: opened.version, check, reason };
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
      return { ...runner, implementation, check, checkedMsPerStep, stepsPerRound };
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
