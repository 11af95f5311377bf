/**
 * Which blocks of 64 values of a float32 vector hold anything but +0.
 *
 * A bitmap has one bit for each block, the lowest first, in whole little-endian 4-byte words. The last block of a
 * vector may be shorter.
 */
import { wordsFrom } from './bytes.ts';

export const blockLength = 64;

/** Consecutive values `[from, to)` of a vector, in whole blocks. */
interface Run {
  readonly from: number;
  readonly to: number;
}

export interface NonZeroBlocks {
  readonly bitmap: Uint8Array;
  readonly runs: readonly Run[];
  /** Values in all runs. */
  readonly valueCount: number;
}

/** Bytes of the bitmap of a vector of `length` values. */
export const bitmapBytes = (length: number): number => 4 * Math.ceil(Math.ceil(length / blockLength) / 32);

/** The bitmap of a vector. Values are compared by their bits: -0 is not +0, and a NaN counts. */
export function nonZeroBitmap(values: Float32Array): Uint8Array {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const bitmap = new Uint8Array(bitmapBytes(values.length));
  for (let from = 0, block = 0; from < words.length; from += blockLength, block++) {
    const to = Math.min(words.length, from + blockLength);
    if (!isZero(words, from, to)) bitmap[block >> 3]! |= 1 << (block & 7);
  }
  return bitmap;
}

/** The blocks of a vector to send. @param bitmap where something faster has found it */
export function findNonZeroBlocks(values: Float32Array, bitmap = nonZeroBitmap(values)): NonZeroBlocks {
  const runs: Run[] = [];
  let valueCount = 0;
  forEachRun(bitmap, values.length, (from, to, isThere) => {
    if (!isThere) return;
    runs.push({ from, to });
    valueCount += to - from;
  });
  return { bitmap, runs, valueCount };
}

/** The runs of a vector of `length` values, in order, and whether the bitmap has their blocks. */
export function forEachRun(
  bitmap: Uint8Array,
  length: number,
  visit: (from: number, to: number, isPresent: boolean) => void,
): void {
  const words = wordsFrom(bitmap);
  const blockCount = Math.ceil(length / blockLength);
  for (let block = 0; block < blockCount; ) {
    const isThere = isPresent(bitmap, block);
    const end = Math.min(blockCount, endOfRun(words, block, isThere));
    visit(block * blockLength, Math.min(length, end * blockLength), isThere);
    block = end;
  }
}

/** Values in the blocks that the bitmap of a vector of `length` values has. */
export function presentValues(bitmap: Uint8Array, length: number): number {
  let count = 0;
  forEachRun(bitmap, length, (from, to, isThere) => {
    if (isThere) count += to - from;
  });
  return count;
}

export const isPresent = (bitmap: Uint8Array, block: number): boolean =>
  (bitmap[block >> 3]! & (1 << (block & 7))) !== 0;

/** The first block after `block` that is not as it is: a word of 32 blocks at a time. At most the bits of the bitmap. */
function endOfRun(words: Uint32Array, block: number, isThere: boolean): number {
  const alike = isThere ? -1 : 0;
  for (let at = block; at < 32 * words.length; at = (at | 31) + 1) {
    const others = (words[at >> 5]! ^ alike) >>> (at & 31);
    // The lowest bit that is set.
    if (others !== 0) return at + 31 - Math.clz32(others & -others);
  }
  return 32 * words.length;
}

/** In most blocks either the first value decides, or all are 0: eight at a time, without a branch for each. */
function isZero(words: Int32Array, from: number, to: number): boolean {
  if (words[from] !== 0) return false;
  let index = from;
  for (; index + 8 <= to; index += 8) {
    const some = words[index]! | words[index + 1]! | words[index + 2]! | words[index + 3]!;
    if ((some | words[index + 4]! | words[index + 5]! | words[index + 6]! | words[index + 7]!) !== 0) return false;
  }
  for (; index < to; index++) if (words[index] !== 0) return false;
  return true;
}
