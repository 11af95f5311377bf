/** The shape of a benchmark: a comparison of candidates on cases, or an inspection that states facts. */
import type { Candidate } from './harness/candidate.ts';

/** A result beside the reference. */
export interface Check {
  /** Relative distance from the reference, which is computed in double precision. */
  readonly distance: number;
  /** The figure that a reader knows the result by, such as a loss. It may be computed where it is read. */
  readonly figure: number;
}

/** One size of a comparison's work. The first candidate is the baseline of every ratio. */
export interface Case {
  readonly name: string;
  /** Work in one step, for the throughput column: 64 of `images`. */
  readonly workPerStep: { readonly amount: number; readonly unit: string };
  /** Steps from the initial state after which the result is checked. */
  readonly checkedSteps: number;
  /** Greatest distance from the reference that still counts as the same computation. */
  readonly tolerance: number;
  readonly figureName: string;
  check(result: Float32Array): Check;
  readonly candidates: readonly Candidate[];
}

export interface Fact {
  readonly name: string;
  readonly holds: boolean;
  readonly message: string;
  /** By name, with the unit in the name. */
  readonly figures: Readonly<Record<string, number>>;
}

interface Described {
  readonly name: string;
  readonly title: string;
  /** Lines of text that say what is measured and what is not. */
  readonly method: readonly string[];
}

/** Which candidate is faster: "how long is a gradient step?". */
export interface Comparison extends Described {
  readonly kind: 'comparison';
  cases(): Promise<readonly Case[]>;
  /** Frees what the cases share, after the last one or a failure. */
  close?(): Promise<void>;
}

/** Whether something holds: "does a step leave memory behind?". */
export interface Inspection extends Described {
  readonly kind: 'inspection';
  facts(progress: (message: string) => void): Promise<readonly Fact[]>;
}

export type Benchmark = Comparison | Inspection;
