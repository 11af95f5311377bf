/** What computes a piece of a shard on one thread, and the samples that it is given. */
import type { LabeledPlan, RandomKey, SampleRows, SampleValues, TargetValues } from '@lockstep/nn';
import type { Program, Storage } from '@lockstep/tensor';

/** The samples of a shard. */
export interface ShardBatch {
  readonly count: number;
  /** Those of the samples `[from, to)`. */
  readonly samplesOf: (from: number, to: number) => SampleValues | SampleRows;
  /** Class indices [count], or values [count, outputs]. */
  readonly targets: TargetValues;
  /** With the position of the first sample. */
  readonly key: RandomKey;
  /** What 1 in half precision stands for, if each node of the tree is rounded to a half. */
  readonly halfUnit?: number | undefined;
}

/** Samples `[from, to)` of a shard. */
export interface SampleRange {
  readonly from: number;
  readonly to: number;
}

export interface PieceCompute {
  /** The samples of a piece, cut into what is computed in one turn; one after another. */
  partsOf(piece: SampleRange): readonly SampleRange[];
  /**
   * What the thread runs for a part. With the last one it leaves the piece's sum in `vector` [parameters + 2]: gradient, sum
   * of losses, correct answers. Samples and targets are read at once; the next call overwrites them.
   */
  programsOf(batch: ShardBatch, piece: SampleRange, part: SampleRange, vector: Storage): Program[];
  dispose(): void;
}

/** Takes some samples of a shard into a plan. @returns the rest of that work, for the thread that runs the plan */
export function loadSamples(plan: LabeledPlan, batch: ShardBatch, { from, to }: SampleRange): readonly Program[] {
  const key = { ...batch.key, firstSample: batch.key.firstSample + from };
  const perSample = batch.targets.length / batch.count;
  return plan.load(batch.samplesOf(from, to), batch.targets.subarray(from * perSample, to * perSample), key);
}
