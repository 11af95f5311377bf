/** Chains of multiply-adds over a list of nonzeros, one for each column of the right operand. */
import { multiplyAdd } from './multiply-add';

// Each pass adds four entries to all sums of a row, which stay in the L1 cache. Keeping a few sums in registers instead
// would read the whole list again for every few columns, in a loop whose length the branch predictor cannot guess.

/**
 * Computes `sum[column]`, the chain over the entries of value * right[offset + column]. It starts from +0, or from the
 * stored sum if `accumulate` is set. Expects at least one entry; `bytes`, the size of the sums, is a multiple of 16.
 */
export function extendChains(accumulate: bool, entry: usize, end: usize, right: usize, sum: usize, bytes: usize): void {
  let count = <i32>((end - entry) >> 3);
  if (!accumulate) {
    const begun = min(count, 4);
    addFew(begun, true, false, entry, right, sum, sum, bytes);
    count -= begun;
    entry += <usize>begun << 3;
  }
  for (; count >= 4; count -= 4, entry += 32) addEntries(4, false, false, entry, right, sum, sum, bytes);
  if (count > 0) addFew(count, false, false, entry, right, sum, sum, bytes);
}

/**
 * Adds to `target[column]` the chain that `extendChains` computes from +0, in the same pass as the last entries. `sum`
 * is scratch space.
 */
export function addChains(entry: usize, end: usize, right: usize, sum: usize, target: usize, bytes: usize): void {
  const last = <i32>(((end - entry) >> 3) - 1) & 3;
  const rest = end - (<usize>(last + 1) << 3);
  if (rest == entry) {
    addFew(last + 1, true, true, rest, right, sum, target, bytes);
    return;
  }
  extendChains(false, entry, rest, right, sum, bytes);
  addFew(last + 1, false, true, rest, right, sum, target, bytes);
}

/** Calls `addEntries` for one to four entries. */
// @ts-ignore: decorator
@inline function addFew(
  count: i32, first: bool, into: bool, entry: usize, right: usize, sum: usize, target: usize, bytes: usize,
): void {
  if (count == 4) addEntries(4, first, into, entry, right, sum, target, bytes);
  else if (count == 3) addEntries(3, first, into, entry, right, sum, target, bytes);
  else if (count == 2) addEntries(2, first, into, entry, right, sum, target, bytes);
  else addEntries(1, first, into, entry, right, sum, target, bytes);
}

/**
 * Extends the chains at `sum` by `count` entries; if `first` is set, starts them at +0. Stores the result at `sum`, or
 * adds it to `target` if `into` is set. All three flags are constants after inlining.
 */
// @ts-ignore: decorator
@inline function addEntries(
  count: i32, first: bool, into: bool, entry: usize, right: usize, sum: usize, target: usize, bytes: usize,
): void {
  // Addresses begin 8 bytes early: the optimizer folds an added constant into the load, except 64, which it subtracts
  // as -64.
  right -= 8;
  sum -= 8;
  target -= 8;
  let row0 = right + <usize>load<u32>(entry);
  const value0 = v128.load32_splat(entry, 4);
  let row1 = count > 1 ? right + <usize>load<u32>(entry, 8) : 0;
  const value1 = count > 1 ? v128.load32_splat(entry, 12) : value0;
  let row2 = count > 2 ? right + <usize>load<u32>(entry, 16) : 0;
  const value2 = count > 2 ? v128.load32_splat(entry, 20) : value0;
  let row3 = count > 3 ? right + <usize>load<u32>(entry, 24) : 0;
  const value3 = count > 3 ? v128.load32_splat(entry, 28) : value0;
  const end = sum + bytes;
  for (const stop = sum + (bytes & ~127); sum < stop; sum += 128) {
    addToVector(count, first, into, sum + 8, target + 8, value0, row0 + 8, value1, row1 + 8, value2, row2 + 8, value3, row3 + 8);
    addToVector(count, first, into, sum + 24, target + 24, value0, row0 + 24, value1, row1 + 24, value2, row2 + 24, value3, row3 + 24);
    addToVector(count, first, into, sum + 40, target + 40, value0, row0 + 40, value1, row1 + 40, value2, row2 + 40, value3, row3 + 40);
    addToVector(count, first, into, sum + 56, target + 56, value0, row0 + 56, value1, row1 + 56, value2, row2 + 56, value3, row3 + 56);
    addToVector(count, first, into, sum + 72, target + 72, value0, row0 + 72, value1, row1 + 72, value2, row2 + 72, value3, row3 + 72);
    addToVector(count, first, into, sum + 88, target + 88, value0, row0 + 88, value1, row1 + 88, value2, row2 + 88, value3, row3 + 88);
    addToVector(count, first, into, sum + 104, target + 104, value0, row0 + 104, value1, row1 + 104, value2, row2 + 104, value3, row3 + 104);
    addToVector(count, first, into, sum + 120, target + 120, value0, row0 + 120, value1, row1 + 120, value2, row2 + 120, value3, row3 + 120);
    if (into) target += 128;
    row0 += 128;
    if (count > 1) row1 += 128;
    if (count > 2) row2 += 128;
    if (count > 3) row3 += 128;
  }
  for (; sum < end; sum += 16) {
    addToVector(count, first, into, sum + 8, target + 8, value0, row0 + 8, value1, row1 + 8, value2, row2 + 8, value3, row3 + 8);
    if (into) target += 16;
    row0 += 16;
    if (count > 1) row1 += 16;
    if (count > 2) row2 += 16;
    if (count > 3) row3 += 16;
  }
}

/** `addEntries` for one vector of four sums. */
// @ts-ignore: decorator
@inline function addToVector(
  count: i32, first: bool, into: bool, sum: usize, target: usize,
  value0: v128, row0: usize, value1: v128, row1: usize, value2: v128, row2: usize, value3: v128, row3: usize,
): void {
  let chain = first ? f32x4.splat(0.0) : v128.load(sum);
  chain = multiplyAdd(chain, value0, v128.load(row0));
  if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1));
  if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2));
  if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3));
  if (into) v128.store(target, f32x4.add(v128.load(target), chain));
  else v128.store(sum, chain);
}
