/** The protocol between the socket's thread and the compute threads: commands and shards in shared memory. */
import type { ComputeChoice } from '@lockstep/train';

export interface ThreadSetup {
  readonly backend: ComputeChoice;
  /** Which of the threads this is, from 0. */
  readonly index: number;
  readonly threads: number;
  readonly control: SharedArrayBuffer;
}

/** Indices into the control memory, an Int32Array. */
export const control = {
  /** Raised with each command; idle threads wait for it. */
  sequence: 0,
  /** One of `commands`. */
  command: 1,
  /** Threads that have come to the barrier: their parts of the shard are computed. */
  computed: 2,
  finished: 3,
  /** 1 where a thread has failed at the command. */
  failed: 4,
  /** Raised with each new set of weights. */
  weightsVersion: 5,
  samples: 6,
  /** The key of the shard's random choices; the first sample in two halves, as it may be above 2^31. */
  seed: 7,
  step: 8,
  firstSampleHigh: 9,
  firstSampleLow: 10,
  /** 1 where the shard's pixels are in the cache, under `numbers`. */
  isCached: 11,
  length: 12,
} as const;

export const commands = {
  start: 1,
  /** Prepare for a model; each thread gets a message with the `ComputeSetup`. */
  open: 2,
  /** Use other memory; each thread gets a message with the `SharedMemory`. */
  memory: 3,
  shard: 4,
} as const;

export type Command = keyof typeof commands;

/** The buffers of a run, allocated by the socket's thread, which alone writes to all but `parts`, between shards. */
export interface SharedMemory {
  /** All parameters, float32. */
  readonly weights: SharedArrayBuffer;
  readonly pixels: SharedArrayBuffer;
  readonly labels: SharedArrayBuffer;
  /** Pixels of the cached samples, by number. */
  readonly cache: SharedArrayBuffer;
  readonly sampleBytes: number;
  /** Numbers of the shard's samples in the cache, uint32. */
  readonly numbers: SharedArrayBuffer;
  /** Float32, a vector for each part of a shard: gradient, sum of losses, correct answers. The first ends as the sum. */
  readonly parts: SharedArrayBuffer;
}

/** Tells how the backend was opened; sent by the first thread. */
export interface Started {
  readonly type: 'started';
  readonly backend: string;
  readonly numericMode: string;
  /** One sentence for each backend that was tried before and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

/** At a command, the first thread that fails sends `failed`, and the last that finishes sends `finished`, in any order. */
export type ThreadMessage =
  | Started
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly message: string };
