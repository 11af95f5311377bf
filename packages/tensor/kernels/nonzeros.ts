/** Lists of the nonzeros of rows and columns; each entry has the byte offset of the right operand's row to multiply. */

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
