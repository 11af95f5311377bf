/**
 * The fixed binary tree over a step's microbatches: its nodes, their relations, and how a range is cut into nodes.
 * Float addition is not associative, so a sum has the same bits only if it is always added in the same order. The tree
 * is that order. It depends only on the number of microbatches, never on which worker computed which of them.
 */

/** An aligned tree node: the microbatches `lo .. lo + n - 1`; `n` is a power of two that divides `lo`. */
export interface Shard {
  readonly lo: number;
  readonly n: number;
}

/** Returns the smallest power of two that is at least `value`, and at least 1. */
export function nextPowerOfTwo(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}

/** Returns the largest power of two that is at most `value`, and at least 1. */
export function powerOfTwoUpTo(value: number): number {
  return value < 2 ? 1 : 2 ** Math.floor(Math.log2(value));
}

/** Returns a shard's key in a map. */
export function shardKey(shard: Shard): string {
  return `${shard.lo}+${shard.n}`;
}

/** Returns a shard's microbatches in words: `microbatches 0 to 3`, or `microbatch 2`. */
export function shardText({ lo, n }: Shard): string {
  return n === 1 ? `microbatch ${lo}` : `microbatches ${lo} to ${lo + n - 1}`;
}

/** Returns the node of which `shard` is one half. */
export function parentOf(shard: Shard): Shard {
  const n = shard.n * 2;
  return { lo: Math.floor(shard.lo / n) * n, n };
}

/** Returns the other half of `shard`'s parent. */
export function siblingOf(shard: Shard): Shard {
  const isLeft = (shard.lo / shard.n) % 2 === 0;
  return { lo: isLeft ? shard.lo + shard.n : shard.lo - shard.n, n: shard.n };
}

/** Returns the two halves of a shard of at least two microbatches, left first. */
export function halvesOf(shard: Shard): readonly [Shard, Shard] {
  const n = shard.n / 2;
  return [
    { lo: shard.lo, n },
    { lo: shard.lo + n, n },
  ];
}

/** Returns the fewest aligned shards that cover the microbatches `from .. to - 1`, from left to right. */
export function shardsOfRange(from: number, to: number): Shard[] {
  const shards: Shard[] = [];
  let lo = from;
  while (lo < to) {
    let n = 1;
    while (lo % (n * 2) === 0 && lo + n * 2 <= to) n *= 2;
    shards.push({ lo, n });
    lo += n;
  }
  return shards;
}
