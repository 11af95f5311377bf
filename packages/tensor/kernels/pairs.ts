/** Lists of the values of a row that are not 0, each with the byte offset of the right operand's row that it multiplies. */
import { multiplyAdd } from './multiply-add';

/** Appends one pair where `value` is not zero; the pair is always written, and stays only where the end moves. */
// @ts-ignore: decorator
@inline export function append(end: usize, offset: u32, value: f32): usize {
  store<u32>(end, offset, 0);
  store<f32>(end, value, 4);
  return value != 0 ? end + 8 : end;
}

/** Whether a bit of the sixteen floats at `at` is set; where none is, all are 0. */
// @ts-ignore: decorator
@inline export function anyOfLine(at: usize): bool {
  const front = v128.or(v128.load(at, 0), v128.load(at, 16));
  return v128.any_true(v128.or(front, v128.or(v128.load(at, 32), v128.load(at, 48))));
}

// The sums of a row go through the first cache once for every four pairs: unlike a few sums in registers, for which the list
// has to be walked again and again, this has one loop of an unforeseen length in a list, not one for every few columns.

/**
 * `sum[column]`, the chain over the pairs of value * right[offset + column]: from +0, or going on from what lies there where
 * `goOn`. At least one pair; `bytes` of sums, whole vectors.
 */
export function extendChains(goOn: bool, pair: usize, end: usize, right: usize, sum: usize, bytes: usize): void {
  let count = <i32>((end - pair) >> 3);
  if (!goOn) {
    const begun = min(count, 4);
    if (begun == 4) addPairs(4, true, pair, right, sum, bytes);
    else if (begun == 3) addPairs(3, true, pair, right, sum, bytes);
    else if (begun == 2) addPairs(2, true, pair, right, sum, bytes);
    else addPairs(1, true, pair, right, sum, bytes);
    count -= begun;
    pair += <usize>begun << 3;
  }
  for (; count >= 4; count -= 4, pair += 32) addPairs(4, false, pair, right, sum, bytes);
  if (count == 3) addPairs(3, false, pair, right, sum, bytes);
  else if (count == 2) addPairs(2, false, pair, right, sum, bytes);
  else if (count == 1) addPairs(1, false, pair, right, sum, bytes);
}

/** Goes on with the chains at `sum`, or begins them where `first`, by `count` pairs, a constant where this is inlined. */
// @ts-ignore: decorator
@inline function addPairs(count: i32, first: bool, pair: usize, right: usize, sum: usize, bytes: usize): void {
  let row0 = right + <usize>load<u32>(pair);
  const value0 = v128.load32_splat(pair, 4);
  let row1 = count > 1 ? right + <usize>load<u32>(pair, 8) : 0;
  const value1 = count > 1 ? v128.load32_splat(pair, 12) : value0;
  let row2 = count > 2 ? right + <usize>load<u32>(pair, 16) : 0;
  const value2 = count > 2 ? v128.load32_splat(pair, 20) : value0;
  let row3 = count > 3 ? right + <usize>load<u32>(pair, 24) : 0;
  const value3 = count > 3 ? v128.load32_splat(pair, 28) : value0;
  const end = sum + bytes;
  let chain: v128;
  for (const stop = sum + (bytes & ~63); sum < stop; sum += 64) {
    chain = first ? f32x4.splat(0.0) : v128.load(sum);
    chain = multiplyAdd(chain, value0, v128.load(row0));
    if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1));
    if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2));
    if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3));
    v128.store(sum, chain);
    chain = first ? f32x4.splat(0.0) : v128.load(sum, 16);
    chain = multiplyAdd(chain, value0, v128.load(row0, 16));
    if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1, 16));
    if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2, 16));
    if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3, 16));
    v128.store(sum, chain, 16);
    chain = first ? f32x4.splat(0.0) : v128.load(sum, 32);
    chain = multiplyAdd(chain, value0, v128.load(row0, 32));
    if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1, 32));
    if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2, 32));
    if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3, 32));
    v128.store(sum, chain, 32);
    chain = first ? f32x4.splat(0.0) : v128.load(sum, 48);
    chain = multiplyAdd(chain, value0, v128.load(row0, 48));
    if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1, 48));
    if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2, 48));
    if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3, 48));
    v128.store(sum, chain, 48);
    row0 += 64;
    if (count > 1) row1 += 64;
    if (count > 2) row2 += 64;
    if (count > 3) row3 += 64;
  }
  for (; sum < end; sum += 16) {
    chain = first ? f32x4.splat(0.0) : v128.load(sum);
    chain = multiplyAdd(chain, value0, v128.load(row0));
    if (count > 1) chain = multiplyAdd(chain, value1, v128.load(row1));
    if (count > 2) chain = multiplyAdd(chain, value2, v128.load(row2));
    if (count > 3) chain = multiplyAdd(chain, value3, v128.load(row3));
    v128.store(sum, chain);
    row0 += 16;
    if (count > 1) row1 += 16;
    if (count > 2) row2 += 16;
    if (count > 3) row3 += 16;
  }
}
