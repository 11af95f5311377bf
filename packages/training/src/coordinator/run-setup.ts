/** What the rules are told of a run before it begins, with its times and bounds. */
import type { DataFormat } from '../batch-bytes.ts';
import type { RunPlan } from '../plan.ts';

/**
 * Who computes a run's steps: the workers with which a step is done soonest; or those, and in turns every other worker, one
 * microbatch at least once an epoch.
 */
export type Participation = 'fastest' | 'rotation';

/** What the rules know of a run before it begins. */
export interface RunSetup {
  readonly plan: RunPlan;
  /** The model as plain data, sent to every worker. */
  readonly model: unknown;
  /** Keys the random choices of the model, such as dropout; 0 where left out. */
  readonly seed?: number;
  /** What all samples and targets are. */
  readonly format: DataFormat;
  /**
   * Bytes of a sample and its target, where workers may cache samples; every task carries its own samples where left out.
   */
  readonly sampleBytes?: number;
  readonly limits: Limits;
  /** Fraction of shards, 0 to 1, that the coordinator computes as well, to check the worker's result; 0 by default. */
  readonly verifyRate?: number;
  /** Chooses those shards; an unsigned 32-bit number that workers cannot know. */
  readonly verifySalt?: number;
  /** Hash of the coordinator's own gradient of the numerics check. */
  readonly refereeHash?: string;
  /** Numeric mode that the coordinator itself computes in. */
  readonly refereeMode?: string;
  /** Every client that reaches the socket may join where left out. */
  readonly token?: string | undefined;
  /** The run begins when this number of workers is ready … */
  readonly startWorkers: number;
  /** … or when one is ready, and this time has passed since the first socket opened. */
  readonly startWithinMs: number;
  /** Whether the run is paused from the beginning, until `start`. */
  readonly waitForStart?: boolean;
  /** Who computes; `fastest` where left out. */
  readonly participation?: Participation;
  /** Whether faults may be injected into workers. */
  readonly faultInjection?: boolean;
  /** Whether workers are told at the end to come back for another run. */
  readonly anotherMayFollow?: boolean;
  /**
   * Whether this is the run of a relay: shards are asked for one by one, by a coordinator above, and it takes no step. Its
   * workers must compute the bits of its own numerics check, since the sum that it sends has one numeric mode.
   */
  readonly isRelay?: boolean;
  /** Where workers may join instead, with the same token; they are told when they join. */
  readonly addresses?: readonly string[];
}

/** Times and bounds of a run, in milliseconds unless the name says otherwise. */
export interface Limits {
  /** A socket without a `hello` by then is closed. */
  readonly handshakeMs: number;
  /** A worker without a numerics result by then is disconnected; a GPU may compile its kernels meanwhile. */
  readonly numericsCheckMs: number;
  readonly heartbeatMs: number;
  /** A worker that has been silent for longer is disconnected. */
  readonly deadMs: number;
  /** The least time before a late shard is duplicated on an idle worker … */
  readonly softDeadlineMs: number;
  /** … and the same bound as a multiple of the time expected for the worker's shards; the later one holds. */
  readonly softFactor: number;
  /** The least time before a late worker is disconnected; `hardFactor` as `softFactor`. */
  readonly hardDeadlineMs: number;
  readonly hardFactor: number;
  /** How long a worker may come back under its old identity. */
  readonly resumeMs: number;
  /** Task errors in a row after which a worker is disconnected. */
  readonly maxTaskErrors: number;
  readonly maxWorkers: number;
  /** Fewer than `maxWorkers`, so that no address takes every place. */
  readonly maxWorkersPerAddress: number;
  readonly maxFrameBytes: number;
  /** Of float32 values in a chunk of a vector. */
  readonly chunkBytes: number;
}

export const defaultLimits: Limits = {
  handshakeMs: 5_000,
  numericsCheckMs: 30_000,
  heartbeatMs: 2_000,
  deadMs: 15_000,
  softDeadlineMs: 250,
  softFactor: 3,
  hardDeadlineMs: 5_000,
  hardFactor: 10,
  resumeMs: 30_000,
  maxTaskErrors: 3,
  maxWorkers: 512,
  maxWorkersPerAddress: 320,
  maxFrameBytes: 64 * 1024 * 1024,
  chunkBytes: 512 * 1024,
};
