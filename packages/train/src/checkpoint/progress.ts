/** What the report of a run that goes on from a checkpoint needs of the steps before it. */
import type { EpochReport, Report } from '../report/report.ts';

/** Sums over one or more neighboring steps. */
export interface StepSums {
  /** Steps from the beginning of the run to the last of these, which ended after so many seconds. */
  readonly steps: number;
  readonly seconds: number;
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
}

/** A training curve that more steps can be added to. */
export interface CurveState {
  readonly points: readonly StepSums[];
  /** Steps that one point stands for. */
  readonly stride: number;
  /** The point that has some of its steps, and how many. */
  readonly partial: StepSums | null;
  readonly partialSteps: number;
}

export interface Progress {
  /** Whole epochs that have been evaluated. */
  readonly epochs: readonly EpochReport[];
  /** Sums over the current epoch's steps. */
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
  /** Mean loss of the first batch, with the initial weights. */
  readonly initialLoss: number | null;
  /** Samples of all steps. */
  readonly images: number;
  /** Seconds of training, and those of the current epoch. */
  readonly seconds: number;
  readonly epochSeconds: number;
  readonly curve: CurveState;
  readonly wire: Report['wire'];
  readonly resumedAtSteps: readonly number[];
}
