/** The order in which the sums of microbatches are added: the one definition that every backend follows. */

/**
 * How many additions follow term `index` of `count`, in pairwise summation on a stack: each term is pushed in turn, then so
 * many times the two topmost values give way to their sum, the lower one + the upper one.
 *
 * This adds neighbors in pairs, left + right, then those sums in pairs, and so on; one without a neighbor goes on unchanged.
 * Terms a to e: (a + b), then (c + d), then ((a + b) + (c + d)), and last ((a + b) + (c + d)) + e.
 *
 * The kernels of the cpu backend have the same rule inline: kernels/microbatch-tile.ts and kernels/sparse-product.ts.
 */
export function additionsAfter(index: number, count: number): number {
  const terms = index + 1;
  // Until the last term the stack holds one complete tree for each binary 1 in the number of terms, as a counter carries.
  return onesIn(index) + 1 - (terms < count ? onesIn(terms) : 1);
}

function onesIn(value: number): number {
  let ones = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
