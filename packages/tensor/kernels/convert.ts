/** Passes over one storage: conversion of bytes or table rows to floats, and the largest magnitude. */

/** `target[i] = bytes[i] / divisor`. The bytes may be the target's last quarter: reads stay ahead of writes. */
export function bytesToFloats(bytes: usize, target: usize, count: i32, divisor: f32): void {
  const divisors = f32x4.splat(divisor);
  if (divisor > 0) {
    // Skips blocks of zeros: most bytes of an image are 0, and divisions are slow.
    for (; count >= 16; count -= 16, bytes += 16, target += 64) {
      const sixteen = v128.load(bytes);
      if (v128.any_true(sixteen)) {
        const low = i16x8.extend_low_i8x16_u(sixteen);
        const high = i16x8.extend_high_i8x16_u(sixteen);
        v128.store(target, f32x4.div(f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(low)), divisors), 0);
        v128.store(target, f32x4.div(f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(low)), divisors), 16);
        v128.store(target, f32x4.div(f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(high)), divisors), 32);
        v128.store(target, f32x4.div(f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(high)), divisors), 48);
      } else {
        const zero = f32x4.splat(0.0);
        v128.store(target, zero, 0);
        v128.store(target, zero, 16);
        v128.store(target, zero, 32);
        v128.store(target, zero, 48);
      }
    }
  }
  const end = bytes + (<usize>count & ~3);
  for (; bytes < end; bytes += 4, target += 16) {
    const words = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(bytes)));
    v128.store(target, f32x4.div(f32x4.convert_i32x4_u(words), divisors));
  }
  for (let rest = count & 3; rest > 0; rest--, bytes++, target += 4) {
    store<f32>(target, <f32>load<u8>(bytes) / divisor);
  }
}

/** Rows prefetched together: 16 rows of MNIST take 12 KB of the L1 cache. */
const rowsTogether: i32 = 16;

/**
 * Converts the rows `numbers` [count] of a table of `columns` bytes per row: `target[i] = byte / divisor`, row after
 * row. The caller has checked the row numbers.
 */
export function rowsToFloats(table: usize, columns: usize, numbers: usize, count: i32, target: usize, divisor: f32): void {
  for (; count > 0; count -= rowsTogether) {
    const rows = min(rowsTogether, count);
    touchRows(table, columns, numbers, rows, target);
    for (const end = numbers + (<usize>rows << 2); numbers < end; numbers += 4, target += columns << 2) {
      bytesToFloats(table + <usize>load<u32>(numbers) * columns, target, <i32>columns, divisor);
    }
  }
}

/** Copies the rows `numbers` [count] of a table of `columns` bytes per row, one after another. */
export function rowsToBytes(table: usize, columns: usize, numbers: usize, count: i32, target: usize): void {
  for (; count > 0; count -= rowsTogether) {
    const rows = min(rowsTogether, count);
    touchRows(table, columns, numbers, rows, target);
    for (const end = numbers + (<usize>rows << 2); numbers < end; numbers += 4, target += columns) {
      memory.copy(target, table + <usize>load<u32>(numbers) * columns, columns);
    }
  }
}

/** Prefetches the rows by reading a byte of each cache line, so that their cache misses overlap. */
function touchRows(table: usize, columns: usize, numbers: usize, count: i32, target: usize): void {
  let any: u32 = 0;
  for (; count > 0; count--, numbers += 4) {
    let at = table + <usize>load<u32>(numbers) * columns;
    for (const end = at + columns; at < end; at += 64) any |= load<u8>(at);
  }
  // The stored value is overwritten; without the store the optimizer would remove the reads.
  if (any != 0) store<u8>(target, any);
}

/** Whether no value is NaN or infinite. */
export function allFinite(source: usize, count: i32): bool {
  return reinterpret<u32>(largestMagnitude(source, count)) < 0x7f800000;
}

/** Stores the largest absolute value of `count` values. */
export function magnitude(source: usize, count: i32, target: usize): void {
  store<f32>(target, largestMagnitude(source, count));
}

/**
 * Returns the largest absolute value: infinity or NaN if there is one. Without their signs, floats sort like their bits
 * as integers, with infinity and NaN last.
 */
function largestMagnitude(source: usize, count: i32): f32 {
  const magnitude = i32x4.splat(0x7fffffff);
  const end = source + ((<usize>count & ~3) << 2);
  let largest = i32x4.splat(0);
  for (; source + 48 < end; source += 64) {
    const a = v128.and(v128.load(source, 0), magnitude);
    const b = v128.and(v128.load(source, 16), magnitude);
    const c = v128.and(v128.load(source, 32), magnitude);
    const d = v128.and(v128.load(source, 48), magnitude);
    largest = i32x4.max_u(largest, i32x4.max_u(i32x4.max_u(a, b), i32x4.max_u(c, d)));
  }
  for (; source < end; source += 16) {
    largest = i32x4.max_u(largest, v128.and(v128.load(source), magnitude));
  }
  let bits: u32 = max(i32x4.extract_lane(largest, 0), i32x4.extract_lane(largest, 1));
  bits = max(bits, <u32>max(i32x4.extract_lane(largest, 2), i32x4.extract_lane(largest, 3)));
  for (let rest = count & 3; rest > 0; rest--, source += 4) bits = max(bits, load<u32>(source) & 0x7fffffff);
  return reinterpret<f32>(bits);
}

// Layout that src/backends/cpu/bytes.ts writes: a pending flag, the divisor, and the quotients of all 256 bytes.
const DIVISOR: usize = 4;
const QUOTIENTS: usize = 16;

/** Address of the quotients of all bytes, or 0 if the operand is already floats. */
export function waitingQuotients(operand: usize): usize {
  return load<u32>(operand) == 0 ? 0 : operand + QUOTIENTS;
}

/** Address of the pending bytes of an operand of `count` values at `values`. */
export function waitingBytes(values: usize, count: i32): usize {
  return values + 3 * <usize>count;
}

/** Converts the pending bytes of the operand of `count` values at `values` to floats. */
export function convertWaiting(operand: usize, values: usize, count: i32): void {
  bytesToFloats(waitingBytes(values, count), values, count, load<f32>(operand, DIVISOR));
  store<u32>(operand, 0);
}
