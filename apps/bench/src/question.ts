/** The shape of a question: what is measured, on which cases, by whom, and how its answers are judged. */
import type { Entrant } from './contender.ts';

/** What a contender's result was worth. */
export interface Verdict {
  /** Relative distance from the truth that the case itself computed. */
  readonly distance: number;
  /** The figure that a reader knows the result by, such as a loss. */
  readonly figure: number;
}

/** One size of a question's work. The first entrant is the baseline of every ratio. */
export interface Case {
  readonly name: string;
  /** Work in one step, for the throughput column: 64 of `images`. */
  readonly workPerStep: { readonly amount: number; readonly unit: string };
  /** Steps that a contender takes from its initial state before it is judged. */
  readonly judgedSteps: number;
  /** Greatest distance from the truth that still counts as the same computation. */
  readonly tolerance: number;
  readonly figureName: string;
  judge(result: Float32Array): Verdict;
  readonly entrants: readonly Entrant[];
}

/** One question, such as "how long is a gradient step?". */
export interface Question {
  readonly name: string;
  readonly title: string;
  /** Sentences that say what was timed and what was not. */
  readonly method: readonly string[];
  /** Loads or makes the data of all cases. */
  cases(): Promise<readonly Case[]>;
}
