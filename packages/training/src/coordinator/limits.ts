/** The times and bounds of a run, and their defaults. */

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
