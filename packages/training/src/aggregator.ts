/** Adds the gradients of a step's shards, in the order of the fixed tree. */
import { decodeVector, type MessageOf } from '@lockstep/protocol';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { type RunPlan, usedMicrobatches } from './plan.ts';
import type { Shard } from './tree.ts';
import { TreeSum } from './tree-sum.ts';

/** The sum over a shard's samples as it arrived: encoded gradient, loss, number of correct answers. */
type ShardSum = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding' | 'lossSum' | 'correct'>;

/** A shard's sum, decoded. */
export interface DecodedSum {
  /** [parameters + 2]: gradient, sum of losses, correct answers; overwritten by the next `decode`. */
  readonly values: Float32Array;
  /** The largest absolute value of the gradient. */
  readonly largest: number;
}

export class Aggregator {
  readonly #backend: HostBackend;
  readonly #plan: RunPlan;
  readonly #parameterCount: number;
  /** [parameters + 2]: the gradient, then the sums of losses and of correct answers, which are added by the same tree. */
  readonly #total: Storage;
  readonly #sum: TreeSum;
  /** [parameters]: the sum of the step's gradients, once `complete`. */
  readonly gradient: Storage;

  constructor(backend: HostBackend, plan: RunPlan, parameterCount: number) {
    this.#backend = backend;
    this.#plan = plan;
    this.#parameterCount = parameterCount;
    this.#total = backend.allocate(parameterCount + 2);
    this.#sum = new TreeSum(backend, this.#total);
    this.gradient = backend.slice(this.#total, 0, parameterCount);
  }

  /** Begins the sum of a step; does nothing after the last one. */
  begin(step: number): void {
    const { steps, microbatches } = this.#plan;
    if (step < steps) this.#sum.begin({ lo: 0, n: microbatches }, usedMicrobatches(this.#plan, step));
  }

  /** Decodes a shard's sum, whose bytes have been validated. @returns undefined where a number is not finite */
  decode({ bytes, encoding, lossSum, correct }: ShardSum): DecodedSum | undefined {
    const size = this.#parameterCount;
    const buffer = this.#sum.free;
    const values = this.#backend.view(buffer);
    if (encoding === undefined) new Uint8Array(values.buffer, values.byteOffset, size * 4).set(bytes);
    else decodeVector(bytes, encoding, values.subarray(0, size));
    values[size] = lossSum;
    values[size + 1] = correct;
    const largest = this.#backend.largestMagnitude(this.#backend.slice(buffer, 0, size));
    return Number.isFinite(largest) && Number.isFinite(values[size]) ? { values, largest } : undefined;
  }

  /** Adds a shard's sum: what `decode` has just returned, or a copy of what it returned before. */
  add(shard: Shard, values: Float32Array): void {
    const buffer = this.#sum.free;
    const view = this.#backend.view(buffer);
    if (values.buffer !== view.buffer || values.byteOffset !== view.byteOffset) view.set(values);
    this.#sum.add(shard, buffer);
  }

  /** Whether every shard of the step has been added. */
  get complete(): boolean {
    return this.#sum.complete;
  }

  /** Sums over the step's samples, once `complete`. */
  figures(): { readonly lossSum: number; readonly correct: number } {
    const view = this.#backend.view(this.#total);
    return { lossSum: view[this.#parameterCount]!, correct: view[this.#parameterCount + 1]! };
  }

  dispose(): void {
    this.#sum.dispose();
    this.#backend.free(this.#total);
  }
}
