/** A run that can start: its options with everything that was left out, loaded and checked. */
import type { Dataset } from '@lockstep/data';
import type { Model, OptimizerConfig, Reading } from '@lockstep/nn';
import type { RunPlan } from '@lockstep/training';
import type { ComputeChoice } from '@lockstep/worker';
import type { Tls } from './http/tls.ts';
import type { CheckpointOptions, ListenOptions } from './options.ts';
import type { RunConfig } from './record/report.ts';
import type { PlanAtStart } from './run-plan.ts';

/** How a server is reached, and by whom. */
export interface NetworkSettings {
  readonly listen: ListenOptions & { readonly host: string };
  readonly token: string | undefined;
  /** What people may type in place of the token; undefined where none is needed. */
  readonly code: string | undefined;
  readonly adminToken: string;
  readonly tls: Tls | undefined;
}

/** Plain data, but for the samples. */
export interface Prepared extends Omit<NetworkSettings, 'listen'> {
  readonly model: Model;
  readonly optimizer: OptimizerConfig;
  /** What the run begins with, where the seed does not draw it. */
  readonly initialWeights: Float32Array | undefined;
  readonly dataName: string | undefined;
  readonly train: Dataset;
  readonly test: Dataset;
  /** How a file becomes a sample, where the data say it. */
  readonly reading: Reading | undefined;
  readonly plan: RunPlan;
  readonly config: RunConfig;
  readonly backend: ComputeChoice;
  /** That compute in each local worker, and in this process where it computes. */
  readonly threads: number;
  /** Processes to start on this machine. */
  readonly workers: number;
  /** Whether this process takes part as a worker beside others. */
  readonly colocate: boolean;
  /** Part of the shards that the coordinator computes as well; 0 in a run of this process alone. */
  readonly verifyRate: number;
  /** Whether workers that are too slow for a share take turns. */
  readonly allTakePart: boolean;
  /** Where the plan is another one as soon as the run is started. */
  readonly planAtStart: PlanAtStart | undefined;
  /** Undefined in a run of this process alone. */
  readonly listen: NetworkSettings['listen'] | undefined;
  readonly checkpoint: CheckpointOptions | undefined;
}
