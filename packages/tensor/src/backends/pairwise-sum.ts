/** The order in which the sums of microbatches are added: the one definition that every backend follows. */

/**
 * Number of additions after term `index` of `count` in pairwise summation on a stack. Each term in turn is pushed; each
 * addition replaces the two topmost values with lower + upper.
 *
 * The additions form a tree: neighbors are added in pairs, left + right, then those sums in pairs, and so on. A value
 * without a neighbor is passed on unchanged. Terms a to e give (a + b), (c + d), ((a + b) + (c + d)),
 * (((a + b) + (c + d)) + e).
 *
 * The kernels of the cpu backend inline the same rule: kernels/microbatch-tile.ts, kernels/sparse-product.ts and
 * kernels/reduce.ts.
 */
export function additionsAfter(index: number, count: number): number {
  const terms = index + 1;
  // Until the last term, the stack holds one complete tree for each 1 in the binary number of terms.
  return onesIn(index) + 1 - (terms < count ? onesIn(terms) : 1);
}

function onesIn(value: number): number {
  let ones = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
