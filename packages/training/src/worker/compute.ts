/** The interface of whatever computes for a worker session: this thread, other threads, or a GPU. */
import type { RandomKey, SampleValues, TargetType, TargetValues } from '@lockstep/nn';
import type { MessageOf, TaskErrorCode } from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';
import type { InnerSteps } from '../inner-steps.ts';
import type { Shard } from '../tree.ts';

/** The gradient of one shard, or what its replicas' inner steps took from the weights. */
export interface ShardGradient {
  /** Sum over the shard's samples, or over its replicas, in model order; little-endian float32. */
  readonly gradient: Uint8Array;
  /** Float32; not finite where the computation was not. */
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
  readonly computeMs: number;
}

export interface ComputeSetup {
  /** The model as plain data; an invalid one is an error. */
  readonly model: unknown;
  readonly microbatchSize: number;
  /** Which decides the loss; classes where left out. */
  readonly targetType?: TargetType;
  /** Taken by each microbatch, where the run has them. */
  readonly innerSteps?: InnerSteps | undefined;
}

/** The values of a shard's samples, sample after sample; or the numbers of samples in the byte cache, in that order. */
export type ShardSamples = SampleValues | Uint32Array;

/** Which shard a gradient is of. */
export interface NamedShard extends Shard {
  readonly step: number;
  /** Of its samples in the training set, in their order, where the coordinator says them. */
  readonly numbers?: Uint32Array | undefined;
}

export interface GradientOptions {
  /** Left out in the numerics check. */
  readonly shard?: NamedShard;
  /** Keys dropout; the same at each call where left out. */
  readonly key?: RandomKey;
  /** What 1 in half precision stands for, if each node of the tree is rounded to a half. */
  readonly halfUnit?: number | undefined;
  /**
   * Whether the gradient may stay in the compute's memory: read it from the result when it is needed, before the next
   * call. It may be overwritten. In memory of its own where left out.
   */
  readonly inPlace?: boolean;
  /** Asked between the slices of a shard; once it is true, the call rejects. A compute without slices never asks. */
  readonly isCanceled?: () => boolean;
  /** Sets what is called once that is true; for a compute that waits for others. */
  readonly onCancel?: (listener: () => void) => void;
}

/** Bytes of samples by number, in the memory where they are computed with. */
export interface ByteCache {
  /** Copies a sample in. @throws RangeError for a number or a length that does not fit */
  write(number: number, sample: Uint8Array): void;
}

/** A message of weights that come in several: the first of them, or a chunk. */
export type WeightsPart = MessageOf<'weights' | 'chunk'>;

export interface Compute {
  readonly backend: string;
  /** Equal names promise equal bits; the numerics check verifies it. */
  readonly numericMode: string;
  readonly threads: number;
  /** For its gradients as they travel; plain loops where left out. */
  readonly codec?: CodecKernels | undefined;
  /**
   * Prepares for a model; called again where a worker joins another run.
   * @throws Error with one sentence where it cannot compute what the run asks for
   */
  open(setup: ComputeSetup): Promise<void>;
  /**
   * All parameters in model order, little-endian float32, at any alignment; copied before it returns.
   * @param step that begins with them; left out in the numerics check
   */
  setWeights(bytes: Uint8Array, step?: number): void;
  /**
   * Takes each message of weights that come in several, as it arrives, unless the first of them comes while a shard is
   * computed; `setWeights` follows once they are whole. For a compute that sends them on.
   */
  takeWeightsPart?(part: WeightsPart): void;
  /**
   * Allocates a cache for `count` samples of `size` bytes in place of the one before; the next `open` frees it. Left out
   * where the compute gains nothing by owning the bytes.
   * @throws Error, before it allocates, where the model's samples have another size
   */
  createByteCache?(count: number, size: number): ByteCache;
  /**
   * The gradient of a shard, whose microbatches are consecutive samples; the last one may be shorter. Targets are class
   * indices [count], or values [count, outputs].
   * @throws ComputeError where the device fails
   */
  gradient(samples: ShardSamples, targets: TargetValues, options?: GradientOptions): Promise<ShardGradient>;
  close(): Promise<void>;
}

/** A failure that is reported to the coordinator; the worker goes on. */
export class ComputeError extends Error {
  override readonly name = 'ComputeError';
  readonly code: TaskErrorCode;

  constructor(code: TaskErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
