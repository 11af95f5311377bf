/** Cuts a block among threads, and tells in which order their vectors are added: that of the fixed tree. */
import { type Block, blocksOfRange, nextPowerOfTwo } from '@lockstep/training';

export interface Part {
  readonly block: Block;
  readonly thread: number;
}

/** Leaves that hold a sample, and all of the block's tree. */
export function treeOf(samples: number, leafSize: number): { readonly used: number; readonly root: Block } {
  const used = Math.ceil(samples / leafSize);
  return { used, root: { lo: 0, n: nextPowerOfTwo(used) } };
}

/**
 * A contiguous share of the leaves for each thread, as blocks of the tree, from left to right; the last share runs on over
 * the empty leaves, since fewer blocks are fewer vectors to add.
 */
export function partsOf(used: number, root: Block, threads: number): Part[] {
  return Array.from({ length: threads }, (_, thread) => {
    const from = Math.round((used * thread) / threads);
    const to = Math.round((used * (thread + 1)) / threads);
    const blocks = blocksOfRange(from, to === used && to > from ? root.n : to);
    return blocks.filter(({ lo }) => lo < used).map((block) => ({ block, thread }));
  }).flat();
}

/** `parts[left] += parts[right]`, by place in the list. */
export interface Addition {
  readonly left: number;
  readonly right: number;
}

/** What makes the first part's vector the sum of all, each addition left plus right as in the tree. */
export function additionsOf(parts: readonly Part[], root: Block, used: number): Addition[] {
  const additions: Addition[] = [];
  /** The part whose vector holds the node's sum. */
  const sumOf = ({ lo, n }: Block): number => {
    const known = parts.findIndex(({ block }) => block.lo === lo && block.n === n);
    if (known >= 0) return known;
    const left = sumOf({ lo, n: n / 2 });
    if (lo + n / 2 >= used) return left;
    additions.push({ left, right: sumOf({ lo: lo + n / 2, n: n / 2 }) });
    return left;
  };
  if (parts.length > 0) sumOf(root);
  return additions;
}
