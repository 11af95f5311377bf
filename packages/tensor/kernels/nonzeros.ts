/** Lists of the nonzeros of rows and columns, each with the byte offset of the row of the right operand that it multiplies. */

/** Entries behind the end of a list that may be written. */
export const listSlack: i32 = 3;

/** Bit i of the result: whether value i of the sixteen floats at `at` is not 0. */
// @ts-ignore: decorator
@inline function nonzerosOfSixteen(at: usize): i32 {
  return i8x16.bitmask(areNonzero(at));
}

/** Byte i of the result is -1 where value i of the sixteen floats at `at` is not 0, and else 0. */
// @ts-ignore: decorator
@inline function areNonzero(at: usize): v128 {
  const zero = f32x4.splat(0.0);
  // A comparison is -1 where it holds.
  const low = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
  const high = i16x8.narrow_i32x4_s(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
  return i8x16.narrow_i16x8_s(low, high);
}

/** Appends value i of those `stride` bytes apart, with `offset + i * rowBytes`, where `nonzeros` has bit i; returns the new end. */
// @ts-ignore: decorator
@inline function appendNonzeros(end: usize, nonzeros: u64, at: usize, stride: usize, offset: u32, rowBytes: u32): usize {
  const stop = end + (<usize>popcnt(nonzeros) << 3);
  // Four at a time: the processor cannot predict how many bits there are. What is written past the last means nothing.
  for (; end < stop; end += 32) {
    appendLowest(end, nonzeros, at, stride, offset, rowBytes);
    nonzeros &= nonzeros - 1;
    appendLowest(end + 8, nonzeros, at, stride, offset, rowBytes);
    nonzeros &= nonzeros - 1;
    appendLowest(end + 16, nonzeros, at, stride, offset, rowBytes);
    nonzeros &= nonzeros - 1;
    appendLowest(end + 24, nonzeros, at, stride, offset, rowBytes);
    nonzeros &= nonzeros - 1;
  }
  return stop;
}

/** The entry of the lowest bit; where there is none, of the first value, which can be read. */
// @ts-ignore: decorator
@inline function appendLowest(end: usize, nonzeros: u64, at: usize, stride: usize, offset: u32, rowBytes: u32): void {
  const index = <u32>ctz(nonzeros) & 63;
  store<u32>(end, offset + index * rowBytes);
  store<u32>(end, load<u32>(at + <usize>index * stride), 4);
}

/** Appends the nonzeros of `inner` neighbors to a list, the first with `offset`, the others `rowBytes` apart; returns its new end. */
export function listRow(end: usize, at: usize, inner: i32, offset: u32, rowBytes: u32): usize {
  for (; inner >= 64; inner -= 64, at += 256, offset += rowBytes << 6) {
    const first = <u64>(nonzerosOfSixteen(at) | (nonzerosOfSixteen(at + 64) << 16));
    const last = <u64>(nonzerosOfSixteen(at + 128) | (nonzerosOfSixteen(at + 192) << 16));
    end = appendNonzeros(end, (first & 0xffffffff) | (last << 32), at, 4, offset, rowBytes);
  }
  for (; inner >= 16; inner -= 16, at += 64, offset += rowBytes << 4) {
    end = appendNonzeros(end, <u64>nonzerosOfSixteen(at), at, 4, offset, rowBytes);
  }
  for (; inner > 0; inner--, at += 4, offset += rowBytes) {
    const value = load<f32>(at);
    store<u32>(end, offset);
    store<f32>(end, value, 4);
    end = value != 0 ? end + 8 : end;
  }
  return end;
}

// What `listColumns` works on: the ends of sixteen lists, then sixteen masks, 64 bits each.
const MASKS: usize = 64;
export const columnListsBytes: usize = 192;

/** Rows whose nonzeros a mask of `columnMask` tells. */
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

/** Bit i: whether row i of the last 64, at most, that `listColumns` went over has a nonzero in the list's column. */
// @ts-ignore: decorator
@inline export function columnMask(lists: usize, lane: i32): u64 {
  return load<u64>(lists + (<usize>lane << 3), MASKS);
}

/** Appends the nonzeros of `inner` rows, `stepBytes` apart, to the lists of their first `lanes` columns, at most 16. */
export function listColumns(
  lists: usize, lanes: i32, at: usize, stepBytes: usize, inner: i32, offset: u32, rowBytes: u32,
): void {
  for (; inner > 0; inner -= maskRows, at += stepBytes << 6, offset += rowBytes << 6) {
    columnNonzeros(lists + MASKS, at, stepBytes, min(inner, maskRows));
    for (let lane = 0; lane < lanes; lane++) {
      const nonzeros = columnMask(lists, lane);
      if (nonzeros == 0) continue;
      const end = appendNonzeros(listEnd(lists, lane), nonzeros, at + (<usize>lane << 2), stepBytes, offset, rowBytes);
      setListEnd(lists, lane, end);
    }
  }
}

/** For each of sixteen columns, 64 bits at `masks`: bit i tells whether its value in row i of `rows`, at most 64, is not 0. */
function columnNonzeros(masks: usize, at: usize, stepBytes: usize, rows: i32): void {
  // Byte c of a vector: eight rows of column c.
  let a = i8x16.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  a = eightRows(at, stepBytes, rows);
  if (rows > 8) b = eightRows(at + 8 * stepBytes, stepBytes, rows - 8);
  if (rows > 16) c = eightRows(at + 16 * stepBytes, stepBytes, rows - 16);
  if (rows > 24) d = eightRows(at + 24 * stepBytes, stepBytes, rows - 24);
  if (rows > 32) e = eightRows(at + 32 * stepBytes, stepBytes, rows - 32);
  if (rows > 40) f = eightRows(at + 40 * stepBytes, stepBytes, rows - 40);
  if (rows > 48) g = eightRows(at + 48 * stepBytes, stepBytes, rows - 48);
  if (rows > 56) h = eightRows(at + 56 * stepBytes, stepBytes, rows - 56);
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

/** Pairs of bytes of eight columns, put together in the order of the columns. */
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

/** Bit i of byte c of the result: whether the value of column c in row i, of at most eight, is not 0. */
// @ts-ignore: decorator
@inline function eightRows(at: usize, stepBytes: usize, rows: i32): v128 {
  let bits = i8x16.splat(0);
  let bit = i8x16.splat(1);
  for (let row = min(rows, 8); row > 0; row--, at += stepBytes) {
    bits = v128.or(bits, v128.and(areNonzero(at), bit));
    bit = i8x16.add(bit, bit);
  }
  return bits;
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
