/** The shape of a benchmark: a comparison of candidates on cases, or an inspection that states facts. */
import type { Candidate } from './harness/candidate.ts';

/** A result compared with the reference. */
export interface Check {
  /** Relative distance from the double-precision reference. */
  readonly distance: number;
  /** The familiar figure for the result, such as a loss. A getter may compute it. */
  readonly figure: number;
}

/** One problem size of a comparison. The first candidate is the baseline of every ratio. */
export interface Case {
  readonly name: string;
  /** Work in one step, for the throughput column, such as 64 `images`. */
  readonly workPerStep: { readonly amount: number; readonly unit: string };
  /** Steps from the initial state after which the result is checked. */
  readonly checkedSteps: number;
  /** Greatest distance from the reference that still counts as correct. */
  readonly tolerance: number;
  readonly figureName: string;
  check(result: Float32Array): Check;
  readonly candidates: readonly Candidate[];
}

export interface Fact {
  readonly name: string;
  readonly holds: boolean;
  readonly message: string;
  /** Figures by name, with the unit in the name. */
  readonly figures: Readonly<Record<string, number>>;
}

interface Described {
  readonly name: string;
  readonly title: string;
  /** Lines of text that say what is and is not measured. */
  readonly method: readonly string[];
}

/** A benchmark that asks which candidate is faster: "how long is a gradient step?". */
export interface Comparison extends Described {
  readonly kind: 'comparison';
  cases(): Promise<readonly Case[]>;
  /** Frees what the cases share, after the last case or a failure. */
  close?(): Promise<void>;
}

/** A benchmark that asks whether something holds: "does a step leak memory?". */
export interface Inspection extends Described {
  readonly kind: 'inspection';
  facts(progress: (message: string) => void): Promise<readonly Fact[]>;
}

export type Benchmark = Comparison | Inspection;
