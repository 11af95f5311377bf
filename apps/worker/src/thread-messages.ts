/** What the socket's thread and the compute threads say to each other: messages for what is rare, shared memory for shards. */
import type { ComputeChoice } from '@lockstep/train';
import type { ComputeSetup } from '@lockstep/training';

export interface ThreadSetup {
  readonly backend: ComputeChoice;
  /** Which of the threads this is, from 0. */
  readonly index: number;
  readonly threads: number;
  /** See `control`. */
  readonly control: SharedArrayBuffer;
}

/** Places in the control memory, an Int32Array. */
export const control = {
  /** Raised with each order; threads that have nothing to do wait for it. */
  ticket: 0,
  /** What is ordered: one of `orders`. */
  order: 1,
  /** Threads that have computed their parts of the shard. */
  computed: 2,
  /** Threads that have added theirs. */
  added: 3,
  /** Whether a thread has failed. */
  failed: 4,
  /** Raised with each new set of weights. */
  weights: 5,
  /** Samples of the shard. */
  samples: 6,
  /** What fixes a shard's random choices; the first sample in two halves, as it may be above 2^31. */
  seed: 7,
  step: 8,
  firstSampleHigh: 9,
  firstSampleLow: 10,
  /** Whether the shard's pixels are kept ones, of which `numbers` has the numbers. */
  named: 11,
  length: 12,
} as const;

export const orders = {
  /** Compute the shard that lies in the shared memory. */
  shard: 1,
  /** Read messages. */
  listen: 2,
} as const;

/** What all threads see of a run. */
export interface SharedMemory {
  /** All parameters, float32. Nobody writes while a shard is computed. */
  readonly weights: SharedArrayBuffer;
  readonly pixels: SharedArrayBuffer;
  readonly labels: SharedArrayBuffer;
  /** The pixels of the samples that are kept, by number. */
  readonly kept: SharedArrayBuffer;
  /** Of the samples of a shard, uint32. */
  readonly numbers: SharedArrayBuffer;
  /** Bytes of a sample's pixels. */
  readonly sampleBytes: number;
  /** A vector for each part of a shard, float32: gradient, sum of losses, correct answers. The first holds the whole sum at the end. */
  readonly parts: SharedArrayBuffer;
}

export type ThreadRequest =
  | { readonly type: 'start' }
  | { readonly type: 'open'; readonly setup: ComputeSetup }
  | { readonly type: 'memory'; readonly memory: SharedMemory };

/** Each request is answered once, in order. */
export type ThreadResponse =
  | {
      readonly type: 'started';
      readonly backend: string;
      readonly numericMode: string;
      readonly refused: readonly string[];
      readonly choice: string;
    }
  | { readonly type: 'opened' }
  | { readonly type: 'remembered' }
  | { readonly type: 'error'; readonly message: string };

/** News of a shard: `added` comes once, from the thread that was the last; `failed` from each that failed. */
export type ThreadNews = { readonly type: 'added' } | { readonly type: 'failed'; readonly message: string };
