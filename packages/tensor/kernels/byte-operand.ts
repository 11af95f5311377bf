/** Operands of products whose values wait as bytes in the last quarter of their storage. */
import { bytesToFloats } from './convert';

// What the other side, src/backends/cpu/byte-operand.ts, writes: whether bytes wait, their divisor, and all 256 quotients.
const DIVISOR: usize = 4;
const QUOTIENTS: usize = 16;

/** The quotients of all bytes, 0 where none wait. */
export function waitingQuotients(operand: usize): usize {
  return load<u32>(operand) == 0 ? 0 : operand + QUOTIENTS;
}

/** Where the bytes of an operand of `count` values at `values` wait. */
export function waitingBytes(values: usize, count: i32): usize {
  return values + 3 * <usize>count;
}

/** Converts what waits for the operand of `count` values at `values`. */
export function convertWaiting(operand: usize, values: usize, count: i32): void {
  bytesToFloats(waitingBytes(values, count), values, count, load<f32>(operand, DIVISOR));
  store<u32>(operand, 0);
}
