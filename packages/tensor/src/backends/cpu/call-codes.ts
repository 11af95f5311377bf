/**
 * Encoding of programs of kernel calls, written by prepare.ts as TypeScript and read by kernels/execute.ts as
 * AssemblyScript.
 */

// A call is its code, then its arguments in the order of the kernel's parameters, one 32-bit word each.

/** Runs another program, given its first byte and its end. */
export const program = 0;
export const map = 1;
export const sum = 2;
export const argmax = 3;
export const max = 4;
export const min = 5;
export const matmul = 6;
export const crossEntropy = 7;
export const convolution = 8;
export const pool = 9;
export const unpool = 10;
export const gather = 11;
export const scatterAdd = 12;
export const random = 13;
/** The divisor is the bits of a float32. */
export const bytesToFloats = 14;
/** Converts rows of a table; the divisor comes last. */
export const rowsToFloats = 15;
/** Copies rows of a table as bytes. */
export const rowsToBytes = 16;
/** Stores the largest absolute value; the arguments are first value, count, target. */
export const largestMagnitude = 17;
