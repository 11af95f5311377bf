/** Interleaved rounds: a temporary slowdown of the machine affects every runner and cancels out in their ratios. */
import { errorMessage } from '@lockstep/command';

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
