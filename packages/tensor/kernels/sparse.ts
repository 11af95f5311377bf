/** Skipping zeros: an estimate of their number, lists of nonzeros, and chains of multiply-adds over such lists. */
import { multiplyAdd } from './shared';

/** Number of runs of 1024 values to sample, evenly spaced. A wrong guess costs time but changes no bit. */
const samples: i32 = 16;

/** Whether at most three eighths of the values (f32 or u8) are nonzero, judged by a sample. */
export function fewNonzeros<Value>(source: usize, size: i32): bool {
  const step = max(1024, (size / samples) & ~15);
  let nonzeros = 0;
  let sampled = 0;
  for (let start = 0; start < size; start += step) {
    const count = min(1024, (size - start) & ~15);
    const at = source + <usize>start * sizeof<Value>();
    nonzeros += isInteger<Value>() ? nonzeroBytes(at, count) : nonzeroFloats(at, count);
    sampled += count;
  }
  return nonzeros <= (sampled * 3) >> 3;
}

// Both functions expect a count that is a multiple of 16.

function nonzeroBytes(at: usize, count: i32): i32 {
  let nonzeros = 0;
  for (const end = at + count; at < end; at += 16) {
    nonzeros += popcnt(i8x16.bitmask(i8x16.ne(v128.load(at), i8x16.splat(0))));
  }
  return nonzeros;
}

function nonzeroFloats(at: usize, count: i32): i32 {
  const zero = f32x4.splat(0.0);
  let negatives = i32x4.splat(0);
  // A comparison yields -1 if it holds.
  for (const end = at + (<usize>count << 2); at < end; at += 64) {
    const first = i32x4.add(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
    const second = i32x4.add(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
    negatives = i32x4.add(negatives, i32x4.add(first, second));
  }
  const halves = i32x4.extract_lane(negatives, 0) + i32x4.extract_lane(negatives, 1);
  return -(halves + i32x4.extract_lane(negatives, 2) + i32x4.extract_lane(negatives, 3));
}

/** Entries past the end of a list that may be overwritten. */
export const listSlack: i32 = 3;

// A `Value` is f32, or u8: a byte that stands for one of the 256 floats at `quotients`.

/** Bit i of the result tells whether value i of the sixteen at `at` is nonzero. */
// @ts-ignore: decorator
@inline function nonzerosOfSixteen<Value>(at: usize): i32 {
  return i8x16.bitmask(areNonzero<Value>(at));
}

/** Byte i of the result is -1 if value i of the sixteen at `at` is nonzero, else 0. */
// @ts-ignore: decorator
@inline function areNonzero<Value>(at: usize): v128 {
  if (isInteger<Value>()) return i8x16.ne(v128.load(at), i8x16.splat(0));
  const zero = f32x4.splat(0.0);
  // A comparison yields -1 if it holds.
  const low = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
  const high = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
  return i8x16.narrow_i16x8_s(low, high);
}

/** Returns the bits of the value at `at`, as a float. */
// @ts-ignore: decorator
@inline function bitsAt<Value>(at: usize, quotients: usize): u32 {
  return load<u32>(isInteger<Value>() ? quotients + (<usize>load<u8>(at) << 2) : at);
}

/**
 * Appends an entry for each set bit i of `nonzeros`: value i, `stride` bytes apart, and `offset + i * rowBytes`.
 * Returns the new end.
 */
// @ts-ignore: decorator
@inline function appendNonzeros<Value>(
  end: usize, nonzeros: u64, at: usize, stride: usize, offset: u32, rowBytes: u32, quotients: usize,
): usize {
  const stop = end + (<usize>popcnt(nonzeros) << 3);
  // Writes four entries at a time, because the number of bits is unpredictable. Entries past `stop` are garbage.
  for (; end < stop; end += 32) {
    appendLowest<Value>(end, nonzeros, at, stride, offset, rowBytes, quotients);
    nonzeros &= nonzeros - 1;
    appendLowest<Value>(end + 8, nonzeros, at, stride, offset, rowBytes, quotients);
    nonzeros &= nonzeros - 1;
    appendLowest<Value>(end + 16, nonzeros, at, stride, offset, rowBytes, quotients);
    nonzeros &= nonzeros - 1;
    appendLowest<Value>(end + 24, nonzeros, at, stride, offset, rowBytes, quotients);
    nonzeros &= nonzeros - 1;
  }
  return stop;
}

/** Writes the entry of the lowest bit; if no bit is set, of the first value, which is safe to read. */
// @ts-ignore: decorator
@inline function appendLowest<Value>(
  end: usize, nonzeros: u64, at: usize, stride: usize, offset: u32, rowBytes: u32, quotients: usize,
): void {
  const index = <u32>ctz(nonzeros) & 63;
  store<u32>(end, offset + index * rowBytes);
  store<u32>(end, bitsAt<Value>(at + <usize>index * stride, quotients), 4);
}

/**
 * Appends the nonzeros of `inner` adjacent values to a list; offsets start at `offset` and are `rowBytes` apart.
 * Returns the new end.
 */
export function listRow<Value>(end: usize, at: usize, inner: i32, offset: u32, rowBytes: u32, quotients: usize): usize {
  const valueBytes = sizeof<Value>();
  for (; inner >= 64; inner -= 64, at += valueBytes << 6, offset += rowBytes << 6) {
    let nonzeros = <u64>nonzerosOfSixteen<Value>(at) | (<u64>nonzerosOfSixteen<Value>(at + 16 * valueBytes) << 16);
    nonzeros |= <u64>nonzerosOfSixteen<Value>(at + 32 * valueBytes) << 32;
    nonzeros |= <u64>nonzerosOfSixteen<Value>(at + 48 * valueBytes) << 48;
    end = appendNonzeros<Value>(end, nonzeros, at, valueBytes, offset, rowBytes, quotients);
  }
  for (; inner >= 16; inner -= 16, at += valueBytes << 4, offset += rowBytes << 4) {
    const nonzeros = <u64>nonzerosOfSixteen<Value>(at);
    end = appendNonzeros<Value>(end, nonzeros, at, valueBytes, offset, rowBytes, quotients);
  }
  for (; inner > 0; inner--, at += valueBytes, offset += rowBytes) {
    const value = reinterpret<f32>(bitsAt<Value>(at, quotients));
    store<u32>(end, offset);
    store<f32>(end, value, 4);
    end = value != 0 ? end + 8 : end;
  }
  return end;
}

// Memory of `listColumns`: the ends of sixteen lists, then sixteen 64-bit masks.
const MASKS: usize = 64;
export const columnListsBytes: usize = 192;

/** Rows covered by one mask of `columnMask`. */
export const maskRows: i32 = 64;

/** Sets the end of a list. */
// @ts-ignore: decorator
@inline export function setListEnd(lists: usize, lane: i32, end: usize): void {
  store<u32>(lists + (<usize>lane << 2), <u32>end);
}

// @ts-ignore: decorator
@inline export function listEnd(lists: usize, lane: i32): usize {
  return <usize>load<u32>(lists + (<usize>lane << 2));
}

/**
 * Bit i tells whether row i of the last (at most 64) rows that `listColumns` scanned is nonzero in the list's column.
 */
// @ts-ignore: decorator
@inline export function columnMask(lists: usize, lane: i32): u64 {
  return load<u64>(lists + (<usize>lane << 3), MASKS);
}

/** Appends the nonzeros of `inner` rows, `stepBytes` apart, to the lists of their first `lanes` columns, at most 16. */
export function listColumns<Value>(
  lists: usize, lanes: i32, at: usize, stepBytes: usize, inner: i32, offset: u32, rowBytes: u32, quotients: usize,
): void {
  for (; inner > 0; inner -= maskRows, at += stepBytes << 6, offset += rowBytes << 6) {
    columnNonzeros<Value>(lists + MASKS, at, stepBytes, min(inner, maskRows));
    for (let lane = 0; lane < lanes; lane++) {
      const nonzeros = columnMask(lists, lane);
      if (nonzeros == 0) continue;
      const column = at + <usize>lane * sizeof<Value>();
      const end = listEnd(lists, lane);
      setListEnd(lists, lane, appendNonzeros<Value>(end, nonzeros, column, stepBytes, offset, rowBytes, quotients));
    }
  }
}

/**
 * Writes 64 bits at `masks` for each of sixteen columns: bit i tells whether row i of `rows`, at most 64, is nonzero.
 */
// @ts-ignore: decorator
@inline function columnNonzeros<Value>(masks: usize, at: usize, stepBytes: usize, rows: i32): void {
  // Byte c of each vector holds eight rows of column c.
  let a = i8x16.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  a = eightRows<Value>(at, stepBytes, rows);
  if (rows > 8) b = eightRows<Value>(at + 8 * stepBytes, stepBytes, rows - 8);
  if (rows > 16) c = eightRows<Value>(at + 16 * stepBytes, stepBytes, rows - 16);
  if (rows > 24) d = eightRows<Value>(at + 24 * stepBytes, stepBytes, rows - 24);
  if (rows > 32) e = eightRows<Value>(at + 32 * stepBytes, stepBytes, rows - 32);
  if (rows > 40) f = eightRows<Value>(at + 40 * stepBytes, stepBytes, rows - 40);
  if (rows > 48) g = eightRows<Value>(at + 48 * stepBytes, stepBytes, rows - 48);
  if (rows > 56) h = eightRows<Value>(at + 56 * stepBytes, stepBytes, rows - 56);
  storeColumns(masks, lowBytes(a, b), lowBytes(c, d), lowBytes(e, f), lowBytes(g, h));
  storeColumns(masks + 64, highBytes(a, b), highBytes(c, d), highBytes(e, f), highBytes(g, h));
}

// @ts-ignore: decorator
@inline function lowBytes(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline function highBytes(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Regroups the byte pairs of eight columns column by column and stores them. */
// @ts-ignore: decorator
@inline function storeColumns(masks: usize, a: v128, b: v128, c: v128, d: v128): void {
  const low = i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  const high = i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  const lowRest = i16x8.shuffle(c, d, 0, 8, 1, 9, 2, 10, 3, 11);
  const highRest = i16x8.shuffle(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
  v128.store(masks, i32x4.shuffle(low, lowRest, 0, 4, 1, 5), 0);
  v128.store(masks, i32x4.shuffle(low, lowRest, 2, 6, 3, 7), 16);
  v128.store(masks, i32x4.shuffle(high, highRest, 0, 4, 1, 5), 32);
  v128.store(masks, i32x4.shuffle(high, highRest, 2, 6, 3, 7), 48);
}

/** Bit i of byte c of the result tells whether column c of row i, of at most eight, is nonzero. */
// @ts-ignore: decorator
@inline function eightRows<Value>(at: usize, stepBytes: usize, rows: i32): v128 {
  let bits = i8x16.splat(0);
  let bit = i8x16.splat(1);
  for (let row = min(rows, 8); row > 0; row--, at += stepBytes) {
    bits = v128.or(bits, v128.and(areNonzero<Value>(at), bit));
    bit = i8x16.add(bit, bit);
  }
  return bits;
}

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
    addToPair(0, count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    addToPair(32, count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    addToPair(64, count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    addToPair(96, count, first, into, sum, target, value0, row0, value1, row1, value2, row2, value3, row3);
    if (into) target += 128;
    row0 += 128;
    if (count > 1) row1 += 128;
    if (count > 2) row2 += 128;
    if (count > 3) row3 += 128;
  }
  for (; sum < end; sum += 16) {
    const value = chain(0, count, first, sum, value0, row0, value1, row1, value2, row2, value3, row3);
    if (into) v128.store(target, f32x4.add(v128.load(target), value));
    else v128.store(sum, value);
    if (into) target += 16;
    row0 += 16;
    if (count > 1) row1 += 16;
    if (count > 2) row2 += 16;
    if (count > 3) row3 += 16;
  }
}

/** `addEntries` for two vectors of four sums, both of which are stored last: an engine may make them one. */
// @ts-ignore: decorator
@inline function addToPair(
  offset: i32, count: i32, first: bool, into: bool, sum: usize, target: usize,
  value0: v128, row0: usize, value1: v128, row1: usize, value2: v128, row2: usize, value3: v128, row3: usize,
): void {
  let low = chain(offset, count, first, sum, value0, row0, value1, row1, value2, row2, value3, row3);
  let high = chain(offset + 16, count, first, sum, value0, row0, value1, row1, value2, row2, value3, row3);
  if (into) {
    const before = loadAt(offset, target), after = loadAt(offset + 16, target);
    low = f32x4.add(before, low);
    high = f32x4.add(after, high);
  }
  const to = into ? target : sum;
  storeAt(offset, to, low);
  storeAt(offset + 16, to, high);
}

/** Extends the chain of the vector at `sum + offset`. */
// @ts-ignore: decorator
@inline function chain(
  offset: i32, count: i32, first: bool, sum: usize,
  value0: v128, row0: usize, value1: v128, row1: usize, value2: v128, row2: usize, value3: v128, row3: usize,
): v128 {
  let value = first ? f32x4.splat(0.0) : loadAt(offset, sum);
  value = multiplyAdd(value, value0, loadAt(offset, row0));
  if (count > 1) value = multiplyAdd(value, value1, loadAt(offset, row1));
  if (count > 2) value = multiplyAdd(value, value2, loadAt(offset, row2));
  if (count > 3) value = multiplyAdd(value, value3, loadAt(offset, row3));
  return value;
}

// V8 makes one vector of two only if their addresses differ in nothing but the constant of the instruction, which has to
// be a literal here. `offset` is a constant after inlining, so one line of each function stays.

// @ts-ignore: decorator
@inline function loadAt(offset: i32, address: usize): v128 {
  if (offset == 0) return v128.load(address, 0);
  if (offset == 16) return v128.load(address, 16);
  if (offset == 32) return v128.load(address, 32);
  if (offset == 48) return v128.load(address, 48);
  if (offset == 64) return v128.load(address, 64);
  if (offset == 80) return v128.load(address, 80);
  if (offset == 96) return v128.load(address, 96);
  return v128.load(address, 112);
}

// @ts-ignore: decorator
@inline function storeAt(offset: i32, address: usize, value: v128): void {
  if (offset == 0) v128.store(address, value, 0);
  else if (offset == 16) v128.store(address, value, 16);
  else if (offset == 32) v128.store(address, value, 32);
  else if (offset == 48) v128.store(address, value, 48);
  else if (offset == 64) v128.store(address, value, 64);
  else if (offset == 80) v128.store(address, value, 80);
  else if (offset == 96) v128.store(address, value, 96);
  else v128.store(address, value, 112);
}
