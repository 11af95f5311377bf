/** Adds the gradients of a step's shards, in the order of the fixed tree. */
import { decodeVector, type MessageOf } from '@lockstep/protocol';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { type RunPlan, usedMicrobatches } from './plan.ts';
import type { Shard } from './tree.ts';
import { TreeSum } from './tree-sum.ts';

/** The sum over a shard's samples as it arrived: encoded gradient, loss, number of correct answers. */
type ShardSum = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding' | 'lossSum' | 'correct'>;

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

  /**
   * Adds a shard's sum. `bytes` has been validated, and is read before this returns.
   * @returns false, with nothing added, where a number is not finite
   */
  add(shard: Shard, sum: ShardSum): boolean {
    const buffer = this.#sum.free;
    this.#decode(sum, this.#backend.view(buffer));
    if (!this.#backend.allFinite(buffer)) return false;
    this.#sum.add(shard, buffer);
    return true;
  }

  /** A copy of a shard's sum as [parameters + 2] values, as `addValues` takes them; undefined where one is not finite. */
  decode(sum: ShardSum): Float32Array | undefined {
    const buffer = this.#sum.free;
    const view = this.#backend.view(buffer);
    this.#decode(sum, view);
    return this.#backend.allFinite(buffer) ? view.slice() : undefined;
  }

  /** Adds a shard's sum that was decoded before. */
  addValues(shard: Shard, values: Float32Array): void {
    const buffer = this.#sum.free;
    this.#backend.upload(buffer, values);
    this.#sum.add(shard, buffer);
  }

  #decode({ bytes, encoding, lossSum, correct }: ShardSum, target: Float32Array): void {
    const size = this.#parameterCount;
    if (encoding === undefined) new Uint8Array(target.buffer, target.byteOffset, size * 4).set(bytes);
    else decodeVector(bytes, encoding, target.subarray(0, size));
    target[size] = lossSum;
    target[size + 1] = correct;
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
