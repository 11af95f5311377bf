/** Lists of the nonzero values of a row, each with the byte offset of the row of the right operand that it multiplies. */
import { multiplyAdd } from './multiply-add';

/** Bit i of the result: whether value i of the sixteen floats at `at` is not 0. */
// @ts-ignore: decorator
@inline function nonzerosOfSixteen(at: usize): i32 {
  const zero = f32x4.splat(0.0);
  // A comparison is -1 where it holds.
  const low = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
  const high = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
  return i8x16.bitmask(i8x16.narrow_i16x8_s(low, high));
}

/** Appends `value` where it is not zero: the entry is always written, and the end moves only past one that stays. */
// @ts-ignore: decorator
@inline function appendNonzero(end: usize, offset: u32, value: f32): usize {
  store<u32>(end, offset, 0);
  store<f32>(end, value, 4);
  return value != 0 ? end + 8 : end;
}

/** Appends four neighbors to one list; returns its new end. */
// @ts-ignore: decorator
@inline function appendFour(end: usize, four: v128, offset: u32, rowBytes: u32): usize {
  if (!v128.any_true(four)) return end;
  end = appendNonzero(end, offset, f32x4.extract_lane(four, 0));
  end = appendNonzero(end, offset + rowBytes, f32x4.extract_lane(four, 1));
  end = appendNonzero(end, offset + 2 * rowBytes, f32x4.extract_lane(four, 2));
  return appendNonzero(end, offset + 3 * rowBytes, f32x4.extract_lane(four, 3));
}

/**
 * Appends the nonzeros of `inner` neighbors to one list, the first with `offset`, the others `rowBytes` apart; returns its new
 * end, behind which one entry may have been written.
 */
export function listRow(end: usize, at: usize, inner: i32, offset: u32, rowBytes: u32): usize {
  for (const stop = at + ((<usize>inner & ~15) << 2); at < stop; at += 64, offset += rowBytes << 4) {
    const front = v128.or(v128.load(at, 0), v128.load(at, 16));
    if (!v128.any_true(v128.or(front, v128.or(v128.load(at, 32), v128.load(at, 48))))) continue;
    end = appendFour(end, v128.load(at, 0), offset, rowBytes);
    end = appendFour(end, v128.load(at, 16), offset + 4 * rowBytes, rowBytes);
    end = appendFour(end, v128.load(at, 32), offset + 8 * rowBytes, rowBytes);
    end = appendFour(end, v128.load(at, 48), offset + 12 * rowBytes, rowBytes);
  }
  for (let rest = inner & 15; rest > 0; rest--, at += 4, offset += rowBytes) end = appendNonzero(end, offset, load<f32>(at));
  return end;
}

/**
 * Appends the nonzeros of `inner` rows, `stepBytes` apart, to the lists of their first `lanes` columns, at most 16, whose ends
 * are stored at `ends`.
 */
export function listColumns(
  ends: usize, lanes: i32, at: usize, stepBytes: usize, inner: i32, offset: u32, rowBytes: u32,
): void {
  const used = (1 << lanes) - 1;
  for (; inner > 0; inner--, at += stepBytes, offset += rowBytes) {
    for (let nonzeros = nonzerosOfSixteen(at) & used; nonzeros != 0; nonzeros &= nonzeros - 1) {
      const lane = <usize>ctz(nonzeros) << 2;
      const end = <usize>load<u32>(ends + lane);
      store<u32>(end, offset);
      store<u32>(end, load<u32>(at + lane), 4);
      store<u32>(ends + lane, <u32>(end + 8));
    }
  }
}

/** How many runs of 1024 floats are looked at, evenly spaced. What they miss costs time, and changes no bit. */
const samples: i32 = 16;

/** Whether at most three eighths of the values are not 0, judged by a sample of them. */
export function fewNonzeros(source: usize, size: i32): bool {
  const zero = f32x4.splat(0.0);
  const step = max(1024, (size / samples) & ~15);
  let nonzeros = 0;
  let sampled = 0;
  for (let start = 0; start < size; start += step) {
    const count = min(1024, (size - start) & ~15);
    const end = source + (<usize>(start + count) << 2);
    let negatives = i32x4.splat(0);
    // A comparison is -1 where it holds.
    for (let at = source + (<usize>start << 2); at < end; at += 64) {
      const first = i32x4.add(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
      const second = i32x4.add(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
      negatives = i32x4.add(negatives, i32x4.add(first, second));
    }
    const halves = i32x4.extract_lane(negatives, 0) + i32x4.extract_lane(negatives, 1);
    nonzeros -= halves + i32x4.extract_lane(negatives, 2) + i32x4.extract_lane(negatives, 3);
    sampled += count;
  }
  return nonzeros <= (sampled * 3) >> 3;
}

// Four entries at a time pass over all sums of a row, which stay in the first cache. A few sums in registers at a time would
// need the whole list again for each few columns, and each pass is a loop whose length the processor cannot predict.

/**
 * `sum[column]`, the chain over the entries of value * right[offset + column]: from +0, or from what lies there where
 * `accumulate`. At least one entry; `bytes` of sums, whole vectors.
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
 * `target[column]` plus the chain over the entries, from +0, that `extendChains` gives: added in the pass over the last
 * entries. What is left at `sum` has no meaning.
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

/** `addEntries` for one to four entries. */
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
 * Extends the chains at `sum`, or begins them where `first`, by `count` entries, and stores them there, or adds them to
 * `target` where `into`. All three are constants where this is inlined.
 */
// @ts-ignore: decorator
@inline function addEntries(
  count: i32, first: bool, into: bool, entry: usize, right: usize, sum: usize, target: usize, bytes: usize,
): void {
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
    addToVector(count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    addToVector(count, first, into, sum + 16, target + 16, value0, row0 + 16, value1, row1 + 16, value2, row2 + 16, value3, row3 + 16);
    addToVector(count, first, into, sum + 32, target + 32, value0, row0 + 32, value1, row1 + 32, value2, row2 + 32, value3, row3 + 32);
    addToVector(count, first, into, sum + 48, target + 48, value0, row0 + 48, value1, row1 + 48, value2, row2 + 48, value3, row3 + 48);
    addToVector(count, first, into, sum + 64, target + 64, value0, row0 + 64, value1, row1 + 64, value2, row2 + 64, value3, row3 + 64);
    addToVector(count, first, into, sum + 80, target + 80, value0, row0 + 80, value1, row1 + 80, value2, row2 + 80, value3, row3 + 80);
    addToVector(count, first, into, sum + 96, target + 96, value0, row0 + 96, value1, row1 + 96, value2, row2 + 96, value3, row3 + 96);
    addToVector(count, first, into, sum + 112, target + 112, value0, row0 + 112, value1, row1 + 112, value2, row2 + 112, value3, row3 + 112);
    if (into) target += 128;
    row0 += 128;
    if (count > 1) row1 += 128;
    if (count > 2) row2 += 128;
    if (count > 3) row3 += 128;
  }
  for (; sum < end; sum += 16) {
    addToVector(count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    if (into) target += 16;
    row0 += 16;
    if (count > 1) row1 += 16;
    if (count > 2) row2 += 16;
    if (count > 3) row3 += 16;
  }
}

/** The same for four sums. */
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
