/** Adds the gradients of a step's shards, in the order of the fixed tree. */
import { bytesOf, copyBytes, decodeVector, isSamePlace, type MessageOf } from '@lockstep/protocol';
import { type RunPlan, type Shard, usedMicrobatches } from '@lockstep/rules';
import type { HostBackend, Magnitude, Storage, VectorSum } from '@lockstep/tensor';
import { TreeSum } from './tree-sum.ts';
import { valueAt } from './vector-memory.ts';

/** The sum over a shard's samples as it arrived: encoded gradient, loss, number of correct answers. */
type ShardSum = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding' | 'lossSum' | 'correct'>;

/** Memory for a sum that arrives in chunks, [parameters + 2]. */
export type SumMemory = Storage | Float32Array;

/** Most bytes to reserve in the backend's memory, which cannot shrink; further sums get a Float32Array of their own. */
const mostReservedBytes = 512 * 1024 * 1024;

/** A shard's sum, decoded. */
interface DecodedSum {
  /** [parameters + 2]: gradient, loss sum, number of correct answers; a view of the memory it was written into. */
  readonly values: Float32Array;
  /** The largest absolute value of the gradient. */
  readonly largest: number;
}

export class Aggregator {
  readonly #backend: HostBackend;
  readonly #plan: RunPlan;
  readonly #parameterCount: number;
  /** Sum of vectors [parameters + 2]: gradient, loss sum, number of correct answers. */
  readonly #sum: TreeSum;
  /** Prepared largest-value programs per buffer and range; the range is the whole gradient or a chunk. */
  readonly #magnitudes = new Map<Storage, Map<string, Magnitude>>();

  constructor(backend: HostBackend, plan: RunPlan, parameterCount: number) {
    this.#backend = backend;
    this.#plan = plan;
    this.#parameterCount = parameterCount;
    this.#sum = new TreeSum(backend, parameterCount + 2, plan.halfUnit);
  }

  /** Begins the sum of a step, or of one shard of it. After the last step no sum begins. */
  begin(step: number, shard: Shard = { lo: 0, n: this.#plan.microbatches }): void {
    if (step >= this.#plan.steps) {
      this.#sum.drop();
      return;
    }
    this.#sum.begin(shard, usedMicrobatches(this.#plan, step));
  }

  /** Reserves memory to `write` a sum into, until the sum is added or released. */
  reserve(): SumMemory {
    const length = this.#parameterCount + 2;
    const isMuch = (this.reservedCount + 1) * length * 4 > mostReservedBytes;
    return isMuch ? new Float32Array(length) : this.#sum.reserve();
  }

  /** Reserves like `reserve`, but always in the backend's memory. */
  reserveVector(): Storage {
    return this.#sum.reserve();
  }

  /** Number of sums in reserved backend memory. */
  get reservedCount(): number {
    return this.#sum.reservedCount;
  }

  /**
   * Decodes the values `[from, to)` of a gradient whose bytes have been validated; plain values may already be there.
   * Returns their largest absolute value, or NaN if one is NaN; it is computed here while the values are still in the
   * cache.
   */
  write(
    memory: SumMemory,
    range: { readonly from: number; readonly to: number },
    { bytes, encoding }: Pick<ShardSum, 'bytes' | 'encoding'>,
  ): number {
    const values = this.valuesOf(memory).subarray(range.from, range.to);
    if (encoding !== undefined) decodeVector(bytes, encoding, values, this.#plan.halfUnit);
    else if (!isSamePlace(values, bytes)) copyBytes(bytesOf(values), bytes);
    return this.#largestOf(memory, range);
  }

  /**
   * Completes a shard's sum once its gradient is written. @param largest of the values that `write` returned for it
   * @returns undefined if a number is not finite
   */
  finish(
    memory: SumMemory,
    largest: number,
    { lossSum, correct }: Pick<ShardSum, 'lossSum' | 'correct'>,
  ): DecodedSum | undefined {
    const size = this.#parameterCount;
    const values = this.valuesOf(memory);
    values[size] = lossSum;
    values[size + 1] = correct;
    return Number.isFinite(largest) && Number.isFinite(values[size]) ? { values, largest } : undefined;
  }

  /** Returns memory for the bytes of a gradient's values from `from` on; undefined if they do not fit. */
  memoryFor(memory: SumMemory, from: number, byteLength: number): Uint8Array | undefined {
    const to = from + byteLength / 4;
    return to <= this.#parameterCount ? bytesOf(this.valuesOf(memory).subarray(from, to)) : undefined;
  }

  /** Returns a view of reserved memory, valid until the backend allocates. */
  valuesOf(memory: SumMemory): Float32Array {
    return memory instanceof Float32Array ? memory : this.#backend.view(memory);
  }

  /** Returns a shard's whole sum in reserved memory. @returns undefined if a number is not finite */
  read(memory: SumMemory): DecodedSum | undefined {
    const values = this.valuesOf(memory);
    const [lossSum, correct] = [values[this.#parameterCount]!, values[this.#parameterCount + 1]!];
    return this.finish(memory, this.#largestOf(memory, { from: 0, to: this.#parameterCount }), { lossSum, correct });
  }

  /**
   * Adds a shard's sum: reserved memory, or backend vectors [parameters + 2] that must not change until the next
   * `begin`.
   */
  add(shard: Shard, sum: SumMemory | VectorSum): void {
    if (sum instanceof Float32Array) this.#addValues(shard, sum);
    else this.#sum.add(shard, sum);
  }

  /** Returns reserved memory whose sum will not be added. Memory that was not reserved stays its owner's. */
  release(memory: SumMemory | VectorSum): void {
    if (!(memory instanceof Float32Array) && !('left' in memory)) this.#sum.release(memory);
  }

  /** Whether every shard of the step has been added. */
  get complete(): boolean {
    return this.#sum.complete;
  }

  /** The sum of the step's gradients, in the first values of its vectors, from `complete` until the next `begin`. */
  get gradient(): VectorSum {
    return this.#sum.result;
  }

  /**
   * Returns the whole sum as one vector [parameters + 2], once `complete`. The result is a view of the backend's
   * memory, valid until the backend allocates or the next `begin`.
   */
  total(): Float32Array {
    return this.#backend.view(this.#sum.vector());
  }

  /** Returns the step's loss sum and number of correct answers, once `complete`. */
  figures(): { readonly lossSum: number; readonly correct: number } {
    const figure = (index: number): number => valueAt(this.#backend, this.#sum.result, index);
    return { lossSum: figure(this.#parameterCount), correct: figure(this.#parameterCount + 1) };
  }

  dispose(): void {
    for (const ranges of this.#magnitudes.values()) for (const { program } of ranges.values()) program.dispose();
    this.#sum.dispose();
  }

  #addValues(shard: Shard, values: Float32Array): void {
    const buffer = this.#sum.free;
    this.#backend.view(buffer).set(values);
    this.#sum.add(shard, buffer);
  }

  #largestOf(memory: SumMemory, range: { readonly from: number; readonly to: number }): number {
    if (memory instanceof Float32Array) return largestOf(memory.subarray(range.from, range.to));
    const magnitude = this.#magnitudeOf(memory, range);
    magnitude.program.run();
    return magnitude.value();
  }

  #magnitudeOf(buffer: Storage, { from, to }: { readonly from: number; readonly to: number }): Magnitude {
    const ranges = this.#magnitudes.get(buffer) ?? new Map<string, Magnitude>();
    this.#magnitudes.set(buffer, ranges);
    const key = `${from} ${to}`;
    const magnitude = ranges.get(key) ?? this.#backend.magnitudeOf(this.#backend.slice(buffer, from, to - from));
    ranges.set(key, magnitude);
    return magnitude;
  }
}

/** Returns the largest absolute value, or NaN if one is NaN. */
function largestOf(values: Float32Array): number {
  let largest = 0;
  // Math.max keeps a NaN, whatever comes after it.
  for (let index = 0; index < values.length; index++) largest = Math.max(largest, Math.abs(values[index]!));
  return largest;
}
