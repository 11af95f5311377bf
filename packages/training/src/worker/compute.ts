/** What a worker session needs from whatever computes: this thread, other threads, or a GPU. */
import type { RandomKey } from '@lockstep/nn';
import type { TaskErrorCode } from '@lockstep/protocol';

/** The gradient of one shard. */
export interface ShardGradient {
  /** Sum over the shard's samples, in model order; little-endian float32. */
  readonly gradient: Uint8Array;
  /** Float32; not finite where the computation was not. */
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
  readonly computeMs: number;
}

/** What a compute is asked to do before its first shard. */
export interface ComputeSetup {
  /** The model as plain data; an invalid one is an error. */
  readonly model: unknown;
  /** Samples in a microbatch. */
  readonly microbatchSize: number;
}

/** The pixels of samples that lie in the table that `keepPixels` made, by their numbers there. */
export interface KeptPixels {
  readonly numbers: Uint32Array;
}

/** Pixels of samples by number, kept where they are computed with. */
export interface PixelTable {
  /** Copies a sample's pixels in. @throws RangeError where there is no such number, or where there are more or fewer. */
  write(number: number, pixels: Uint8Array): void;
  /** A copy of what was written. */
  read(number: number): Uint8Array;
}

export interface Compute {
  readonly backend: string;
  /** Equal names promise equal bits; the numerics check checks it. */
  readonly numericMode: string;
  readonly threads: number;
  /** Makes ready for a model; called again where a worker joins another run. */
  open(setup: ComputeSetup): Promise<void>;
  /** All parameters in model order, little-endian float32. The bytes may be a view that dies after the call. */
  setWeights(bytes: Uint8Array): void;
  /**
   * Makes room for `count` samples of `size` pixels, in place of what was kept before; they are gone with the next `open`.
   * Left out where nothing is won by keeping them here.
   * @throws Error where the model's samples have another size: no memory is taken then
   */
  keepPixels?(count: number, size: number): PixelTable;
  /**
   * @param pixels u8, samples in order, as many microbatches as they fill; or the numbers of kept ones, in that order
   * @param key what fixes the random choices of a model that makes some; the same at each call where left out
   * @param into memory that the gradient may be left in, [parameters + 2]; memory of its own where left out
   * @throws ComputeError where the device fails
   */
  gradient(
    pixels: Uint8Array | KeptPixels,
    labels: Uint8Array,
    key?: RandomKey,
    into?: Float32Array,
  ): Promise<ShardGradient>;
  close(): Promise<void>;
}

/** A compute that keeps pixels. */
export type KeepingCompute = Compute & Required<Pick<Compute, 'keepPixels'>>;

/** A failure that the coordinator is told of; the worker itself goes on. */
export class ComputeError extends Error {
  readonly code: TaskErrorCode;

  constructor(code: TaskErrorCode, message: string) {
    super(message);
    this.name = 'ComputeError';
    this.code = code;
  }
}
