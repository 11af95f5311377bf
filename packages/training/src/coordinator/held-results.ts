/** Results of the current step that wait until another computation of the same shard shows which is right. */
import type { Aggregator, SumMemory } from '../aggregator.ts';
import { type Shard, shardKey } from '../tree.ts';
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

/** The largest difference that rounding in another order explains, relative to the largest value of the gradient. */
const roundingTolerance = 1e-3;
/** The same where workers round their gradients to 16 or 8 bits. */
const lossyTolerance = 0.05;

export class HeldResults {
  /** Whether workers round what they send: two results of one shard then differ also in one numeric mode. */
  readonly #isLossy: boolean;
  readonly #tolerance: number;
  readonly #held = new Map<string, HeldResult[]>();
  readonly #memory: Pick<Aggregator, 'valuesOf' | 'release'>;

  constructor({ gradients }: Pick<RunSetup, 'gradients'>, memory: Pick<Aggregator, 'valuesOf' | 'release'>) {
    this.#memory = memory;
    this.#isLossy = gradients !== undefined;
    this.#tolerance = this.#isLossy ? lossyTolerance : roundingTolerance;
  }

  /** Holds a result; returns the connections whose result of the same shard is equal to it. */
  add(shard: Shard, result: HeldResult): ConnectionId[] {
    const key = shardKey(shard);
    const others = this.#held.get(key) ?? [];
    this.#held.set(key, [...others, result]);
    return others.filter((other) => this.#isSame(other, result)).map(({ connection }) => connection);
  }

  /** The result that is held for a connection, whose memory is the caller's then; the others of the shard are dropped. */
  take(shard: Shard, connection: ConnectionId): HeldResult | undefined {
    const key = shardKey(shard);
    const results = this.#held.get(key) ?? [];
    const result = results.find((held) => held.connection === connection);
    this.#drop(results.filter((held) => held !== result));
    this.#held.delete(key);
    return result;
  }

  clear(): void {
    for (const results of this.#held.values()) this.#drop(results);
    this.#held.clear();
  }

  #drop(results: readonly HeldResult[]): void {
    for (const { memory } of results) this.#memory.release(memory);
  }

  #isSame(one: HeldResult, other: HeldResult): boolean {
    const [left, right] = [one, other].map(({ memory }) => this.#memory.valuesOf(memory)) as [
      Float32Array,
      Float32Array,
    ];
    if (one.numericsHash === other.numericsHash && !this.#isLossy) return equalBits(left, right);
    return nearlyEqual(left, right, this.#tolerance);
  }
}

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
function nearlyEqual(one: Float32Array, other: Float32Array, tolerance: number): boolean {
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
