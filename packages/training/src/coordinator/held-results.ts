/**
 * Results of the current step that wait until another computation of the same shard shows which is right, and sums that
 * were added before a worker on trial had answered.
 */
import { bytesOf } from '@lockstep/protocol';
import type { Aggregator, SumMemory } from '../aggregator.ts';
import type { NewHash } from '../incremental-hash.ts';
import { type Shard, shardKey } from '../tree.ts';
import type { LateComparison } from './events.ts';
import type { SumSize } from './plausibility.ts';
import type { ConnectionId, RunSetup } from './state.ts';

export interface HeldResult {
  /** 0 for the coordinator's own. */
  readonly connection: ConnectionId;
  /** [parameters + 2]: gradient, sum of losses, correct answers; reserved for the holder. */
  readonly memory: SumMemory;
  readonly size: SumSize;
  /** Of the numeric mode that computed it. */
  readonly numericsHash: string;
}

/** A result, or what is left of it. */
interface Held extends Omit<HeldResult, 'memory'> {
  memory: SumMemory | undefined;
  digest?: string | undefined;
}

/** A step's shard. */
type Place = Shard & { readonly step: number };

/** A sum that was added, or its digest if equal bits are expected. */
export interface AddedSum {
  readonly place: Place;
  readonly numericsHash: string;
  readonly digest: string | undefined;
  readonly values: Float32Array | undefined;
  /** Whether the sum was compared, or is the coordinator's own. */
  readonly isChecked: boolean;
}

/** Most bytes of sums that are kept whole, except that one always may be. */
const mostAddedBytes = 64 * 1024 * 1024;

/** The largest difference that rounding in another order explains, relative to the largest value of the gradient. */
const tolerance = 1e-3;

export class HeldResults {
  readonly #setup: HeldSetup;
  readonly #held = new Map<string, Held[]>();
  /** By the step and shard; each until the workers on trial with that shard have answered or are gone. */
  readonly #added = new Map<string, AddedSum>();
  readonly #memory: Pick<Aggregator, 'valuesOf' | 'release'>;
  readonly #newHash: NewHash;

  constructor(setup: HeldSetup, memory: Pick<Aggregator, 'valuesOf' | 'release'>, newHash: NewHash) {
    this.#setup = setup;
    this.#memory = memory;
    this.#newHash = newHash;
  }

  /** Holds a result; returns the connections whose result of the same shard is equal to it. */
  add(shard: Shard, result: HeldResult): ConnectionId[] {
    const key = shardKey(shard);
    const others = this.#held.get(key) ?? [];
    this.#held.set(key, [...others, { ...result }]);
    return others.filter((other) => this.#isSame(other, result)).map(({ connection }) => connection);
  }

  /**
   * Keeps a digest in place of each long result that only equal bits can confirm, so that it takes no memory while others
   * are computed. The coordinator finds the same bits where it is right; a result in another numeric mode never confirms it.
   * @param shard whose results; those of all where left out
   */
  digest(shard?: Shard): void {
    const all = shard ? (this.#held.get(shardKey(shard)) ?? []) : [...this.#held.values()].flat();
    for (const held of all) {
      const { memory, numericsHash } = held;
      if (!memory || numericsHash !== this.#setup.refereeHash) continue;
      if (4 * this.#memory.valuesOf(memory).length <= this.#setup.limits.mostHeldBytes) continue;
      held.digest = this.#digestOf(held);
      held.memory = undefined;
      this.#memory.release(memory);
    }
  }

  /**
   * The result that is held for a connection, whose memory is the caller's then; the others of the shard are dropped. One of
   * which only the digest is left has the memory of an equal one.
   */
  take(shard: Shard, connection: ConnectionId): HeldResult | undefined {
    const key = shardKey(shard);
    const results = this.#held.get(key) ?? [];
    const result = results.find((held) => held.connection === connection);
    const whole = result?.memory ? result : results.find((held) => held.memory && result && this.#isSame(held, result));
    this.#drop(results.filter((held) => held !== whole));
    this.#held.delete(key);
    if (!result || !whole?.memory) return undefined;
    const { size, numericsHash } = result;
    return { connection, memory: whole.memory, size, numericsHash };
  }

  /**
   * Keeps a sum that is about to be added, for late results of the same shard. Sums kept whole are limited: the workers whose
   * sum finds no room get another trial.
   * @param late numerics hashes of the workers whose results are to come
   */
  keepAdded(
    place: Place,
    sum: Pick<HeldResult, 'memory' | 'numericsHash'>,
    { late, ...rest }: Pick<AddedSum, 'isChecked'> & { readonly late: readonly (string | undefined)[] },
  ): void {
    const { numericsHash } = sum;
    const isExact = late.every((hash) => hash === numericsHash);
    const values = this.#memory.valuesOf(sum.memory);
    const wholeBytes = [...this.#added.values()].reduce((bytes, added) => bytes + (added.values?.byteLength ?? 0), 0);
    if (!isExact && wholeBytes > 0 && wholeBytes + values.byteLength > mostAddedBytes) return;
    this.#added.set(placeKey(place), {
      ...{ place, numericsHash, ...rest },
      digest: isExact ? this.#digestOfValues(values) : undefined,
      values: isExact ? undefined : values.slice(),
    });
  }

  /** The sum that was added for a shard, if it is kept. */
  addedAt(place: Place): AddedSum | undefined {
    return this.#added.get(placeKey(place));
  }

  /** Compares a late result with the sum that was added; undefined if that is not kept. */
  compareLate(
    place: Place,
    { memory, numericsHash }: Pick<HeldResult, 'memory' | 'numericsHash'>,
  ): LateComparison | undefined {
    const added = this.addedAt(place);
    if (!added) return undefined;
    const values = this.#memory.valuesOf(memory);
    const { isChecked, digest } = added;
    const isOneMode = added.numericsHash === numericsHash;
    // A worker may have come back in another numeric mode than the one that was expected.
    if (!added.values) return isOneMode ? { isSame: digest === this.#digestOfValues(values), isChecked } : undefined;
    return { isSame: this.#areSame(added.values, values, isOneMode), isChecked };
  }

  /** Drops the sums that no worker's late result is compared with any more. */
  dropAdded(isAwaited: (place: Place) => boolean): void {
    for (const [key, { place }] of this.#added) if (!isAwaited(place)) this.#added.delete(key);
  }

  /** Whether sums are kept. */
  get keepsAdded(): boolean {
    return this.#added.size > 0;
  }

  clear(): void {
    for (const results of this.#held.values()) this.#drop(results);
    this.#held.clear();
  }

  #drop(results: readonly Held[]): void {
    for (const { memory } of results) if (memory) this.#memory.release(memory);
  }

  #isSame(one: Held, other: Held): boolean {
    const isOneMode = one.numericsHash === other.numericsHash;
    if (!one.memory || !other.memory) return isOneMode && this.#digestOf(one) === this.#digestOf(other);
    return this.#areSame(this.#memory.valuesOf(one.memory), this.#memory.valuesOf(other.memory), isOneMode);
  }

  #areSame(one: Float32Array, other: Float32Array, isOneMode: boolean): boolean {
    return isOneMode ? equalBits(one, other) : nearlyEqual(one, other);
  }

  #digestOf({ memory, digest }: Held): string | undefined {
    return memory ? this.#digestOfValues(this.#memory.valuesOf(memory)) : digest;
  }

  #digestOfValues(values: Float32Array): string {
    const hash = this.#newHash();
    hash.update(bytesOf(values));
    return hash.digest('hex');
  }
}

function placeKey({ step, ...shard }: Place): string {
  return `${step} ${shardKey(shard)}`;
}

type HeldSetup = Pick<RunSetup, 'refereeHash'> & {
  readonly limits: Pick<RunSetup['limits'], 'mostHeldBytes'>;
};

function equalBits(one: Float32Array, other: Float32Array): boolean {
  const [left, right] = [wordsOf(one), wordsOf(other)];
  if (left.length !== right.length) return false;
  // A function called for each word takes ten times as long.
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

function wordsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}

/** Gradient, loss and correct answers each within the tolerance; a sample at the border of two classes may differ. */
function nearlyEqual(one: Float32Array, other: Float32Array): boolean {
  const size = one.length - 2;
  let [largest, worst] = [0, 0];
  for (let index = 0; index < size; index++) {
    largest = Math.max(largest, Math.abs(one[index]!));
    worst = Math.max(worst, Math.abs(one[index]! - other[index]!));
  }
  const loss = Math.abs(one[size]! - other[size]!) <= tolerance * Math.max(1, Math.abs(one[size]!));
  const correct = Math.abs(one[size + 1]! - other[size + 1]!) <= Math.max(1, tolerance * one[size + 1]!);
  return worst <= tolerance * largest && loss && correct;
}
