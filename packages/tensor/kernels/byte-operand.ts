/**
 * Product operands whose values are still bytes, kept in the last quarter of their storage until they are converted.
 */
import { bytesToFloats } from './convert';

// Layout that src/backends/cpu/byte-operand.ts writes: a pending flag, the divisor, and the quotients of all 256 bytes.
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
