/**
 * The fixed binary tree over a step's leaves: which blocks exist, how they join, and how a range is cut into them.
 *
 * Float addition is not associative, so a sum is only the same to the bit if it is always added in the same order.
 * The tree is that order. It depends on the number of leaves alone, never on who computed which of them.
 */

/** One aligned node of the tree: the leaves `lo .. lo + n - 1`, where `n` is a power of two that divides `lo`. */
export interface Block {
  readonly lo: number;
  readonly n: number;
}

/** The smallest power of two that is at least `value` (and at least 1). */
export function nextPowerOfTwo(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}

/** A block's name in a map. */
export function blockKey(block: Block): string {
  return `${block.lo}+${block.n}`;
}

/** The block that `block` is one half of. */
export function parentOf(block: Block): Block {
  const n = block.n * 2;
  return { lo: Math.floor(block.lo / n) * n, n };
}

/** The other half of `block`'s parent. */
export function siblingOf(block: Block): Block {
  const isLeft = (block.lo / block.n) % 2 === 0;
  return { lo: isLeft ? block.lo + block.n : block.lo - block.n, n: block.n };
}

/** The two halves of a block of at least two leaves, left first. */
export function halvesOf(block: Block): readonly [Block, Block] {
  const n = block.n / 2;
  return [
    { lo: block.lo, n },
    { lo: block.lo + n, n },
  ];
}

/** True where `inner` lies within `outer` (a block contains itself). */
export function contains(outer: Block, inner: Block): boolean {
  return inner.lo >= outer.lo && inner.lo + inner.n <= outer.lo + outer.n;
}

/** The fewest aligned blocks that cover the leaves `from .. to - 1`, from left to right. */
export function blocksOfRange(from: number, to: number): Block[] {
  const blocks: Block[] = [];
  let lo = from;
  while (lo < to) {
    let n = 1;
    while (lo % (n * 2) === 0 && lo + n * 2 <= to) n *= 2;
    blocks.push({ lo, n });
    lo += n;
  }
  return blocks;
}
