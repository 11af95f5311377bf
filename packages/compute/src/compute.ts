/** The interface between a worker session and its computer: this thread, other threads, or a GPU. */
import { type SampleValues, sizeOfField, type TargetField, type TargetValues } from '@lockstep/data';
import { type Model, type RandomKey, sampleSize } from '@lockstep/nn';
import type { MessageOf, TaskErrorCode } from '@lockstep/protocol';
import type { InnerSteps, Shard } from '@lockstep/rules';
import type { CodecKernels } from '@lockstep/tensor';

/** The gradient of one shard, or the sum of its replicas' results. */
export interface ShardGradient {
  /** Sum over the shard's samples or replicas, in model order; little-endian float32. */
  readonly gradient: Uint8Array;
  /** Float32; not finite if the computation overflowed. */
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
  readonly computeMs: number;
}

export interface ComputeSetup {
  /** The model as plain data; an invalid model is an error. */
  readonly model: unknown;
  readonly microbatchSize: number;
  /** Decides the loss; classes by default. */
  readonly targetField?: TargetField;
  /** Inner steps of each microbatch, if the run has them. */
  readonly innerSteps?: InnerSteps | undefined;
}

/** Values of a shard's samples, one sample after another; or their numbers in the byte cache, in the same order. */
export type ShardSamples = SampleValues | Uint32Array;

/** Returns the number of a shard's samples: that of the targets, unless samples contain them. */
export function countOf(samples: ShardSamples, targets: TargetValues, model: Model, targetField: TargetField): number {
  const perSample = sizeOfField(targetField);
  if (perSample > 0) return targets.length / perSample;
  return samples instanceof Uint32Array ? samples.length : samples.length / sampleSize(model, targetField);
}

/** The shard that a gradient is computed for. */
export interface NamedShard extends Shard {
  readonly step: number;
  /** Numbers of the shard's samples in the training set, in order, if the coordinator sends them. */
  readonly numbers?: Uint32Array | undefined;
}

export interface GradientOptions {
  /** Omitted in the numerics check. */
  readonly shard?: NamedShard;
  /** Key of the random choices of dropout; the same for every call by default. */
  readonly key?: RandomKey;
  /** Value that 1 in half precision stands for, if every tree node is rounded to a half. */
  readonly halfUnit?: number | undefined;
  /**
   * Whether the gradient may stay in the compute's memory: read it from the result when it is needed, before the next
   * call. The reader may overwrite it. By default the gradient gets memory of its own.
   */
  readonly inPlace?: boolean;
  /** Polled between the slices of a shard; once it is true, the call rejects. A compute without slices never polls. */
  readonly isCanceled?: () => boolean;
  /** Registers a listener for the moment of cancellation, for a compute that waits for others. */
  readonly onCancel?: (listener: () => void) => void;
}

/** Samples by number, as bytes, in the memory that the computation reads. */
export interface ByteCache {
  /** Copies a sample into the cache. @throws RangeError for a number or a length that does not fit */
  write(number: number, sample: Uint8Array): void;
}

/** One message of weights that arrive in several: the first, or a chunk. */
export type WeightsMessage = MessageOf<'weights' | 'chunk'>;

export interface Compute {
  readonly backend: string;
  /** Computers with equal modes promise equal bits; the numerics check verifies it. */
  readonly numericMode: string;
  readonly threads: number;
  /** Length of the vectors that compute, if it is known. */
  readonly vectorBits?: number | undefined;
  /** Kernels to encode gradients with; plain loops by default. */
  readonly codec?: CodecKernels | undefined;
  /**
   * Prepares for a model; called again when the worker joins another run.
   * @throws Error with one sentence if it cannot compute what the run asks for
   */
  open(setup: ComputeSetup): Promise<void>;
  /**
   * Sets all parameters, in model order, little-endian float32 at any alignment; copied before it returns.
   * @param step the step that begins with them; omitted in the numerics check
   */
  setWeights(bytes: Uint8Array, step?: number): void;
  /**
   * The memory of all parameters, for weights that are written there instead of `setWeights`; valid until the next call,
   * and to be left alone during a computation. Omitted or undefined if it cannot be written.
   */
  weightsMemory?(): Uint8Array | undefined;
  /**
   * Takes each message of weights that arrive in several, unless the first of them arrives while a shard is being
   * computed. `setWeights` follows once the weights are complete. For a compute that forwards them.
   */
  takeWeightsPart?(part: WeightsMessage): void;
  /**
   * Forgets the weights of this step and of later ones, because the run goes back. For a compute that forwards them.
   */
  goBack?(step: number): void;
  /**
   * Allocates a cache for `count` samples of `size` bytes in place of the previous one; the next `open` frees it.
   * Omitted if the compute gains nothing by owning the bytes.
   * @throws Error, before it allocates, if the model's samples have another size
   */
  createByteCache?(count: number, size: number): ByteCache;
  /**
   * Computes the gradient of a shard, whose microbatches are consecutive samples; the last microbatch may be shorter.
   * Targets are class indices [count], values [count, outputs], or nothing if samples contain them.
   * @throws ComputeError if the device fails
   */
  gradient(samples: ShardSamples, targets: TargetValues, options?: GradientOptions): Promise<ShardGradient>;
  close(): Promise<void>;
}

/** A failure that is reported to the coordinator; the worker continues. */
export class ComputeError extends Error {
  override readonly name = 'ComputeError';
  readonly code: TaskErrorCode;

  constructor(code: TaskErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
