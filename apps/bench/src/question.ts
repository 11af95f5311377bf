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

/** Something that holds or does not, with the figures that show it. */
export interface Fact {
  readonly name: string;
  readonly holds: boolean;
  /** What was seen, in one sentence. */
  readonly message: string;
  /** By name, with the unit in the name. */
  readonly figures: Readonly<Record<string, number>>;
}

interface Asked {
  readonly name: string;
  readonly title: string;
  /** Sentences that say what was measured and what was not. */
  readonly method: readonly string[];
}

/** Who is faster: "how long is a gradient step?". */
export interface Race extends Asked {
  readonly kind: 'race';
  /** Loads or makes the data of all cases. */
  cases(): Promise<readonly Case[]>;
  /** Gives back what its cases shared, when the last was measured or one failed. */
  close?(): Promise<void>;
}

/** Whether something holds: "does a step leave anything behind?". */
export interface Inspection extends Asked {
  readonly kind: 'inspection';
  facts(progress: (message: string) => void): Promise<readonly Fact[]>;
}

export type Question = Race | Inspection;
