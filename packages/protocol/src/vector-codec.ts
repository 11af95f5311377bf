/**
 * Compact encodings of float32 vectors: blocks that are all +0 are omitted, other blocks are sent as float32 or halves.
 *
 * Layout: the values of the present blocks, in order, in their format; then the bitmap of blocks. The bitmap comes
 * last so that values can be compacted in place.
 */
import { wordsFrom } from './bytes.ts';

/** `fp16` holds halves in a unit that both ends know: lossless if every value is a half times the unit. */
export const vectorEncodings = ['sparse', 'fp16'] as const;
export type VectorEncoding = (typeof vectorEncodings)[number];

/** Smallest fraction of the bytes that omitting zeros must save to be worth a second copy. */
const leastSaving = 0.1;

/**
 * Encodes the vector without its zero blocks in place, overwriting it. Returns undefined, with the values unchanged, if
 * that saves less than a tenth of the bytes.
 * @param blocks the vector's bitmap, if something faster than plain loops has computed it
 */
export function encodeSparse(values: Float32Array, blocks?: Uint8Array): Uint8Array | undefined {
  const { bitmap, runs, valueCount } = findNonZeroBlocks(values, blocks);
  const byteLength = 4 * valueCount + bitmap.length;
  if (byteLength >= (1 - leastSaving) * values.byteLength) return undefined;
  let at = 0;
  for (const { from, to } of runs) {
    values.copyWithin(at, from, to);
    at += to - from;
  }
  const encoded = new Uint8Array(values.buffer, values.byteOffset, byteLength);
  encoded.set(bitmap, 4 * at);
  return encoded;
}

/**
 * Encodes the vector in half precision, without loss if each value is a half times `unit`, a power of two. Returns
 * undefined if a value is not finite or too large for a half.
 */
export function encodeHalves(values: Float32Array, unit: number): Uint8Array<ArrayBuffer> | undefined {
  const { bitmap, runs, valueCount } = findNonZeroBlocks(values);
  const present = new Float32Array(valueCount);
  let at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++) present[at++] = values[index]! / unit;
  }
  const encoded = new Uint8Array(2 * valueCount + bitmap.length);
  encoded.set(bitmap, 2 * valueCount);
  return toFloat16(present, new Uint16Array(encoded.buffer, 0, valueCount)) ? encoded : undefined;
}

/** Describes in one phrase why these bytes are not a vector of `length` values; undefined if they are. */
export function vectorFault(bytes: Uint8Array, encoding: VectorEncoding, length: number): string | undefined {
  const least = bitmapBytes(length);
  if (bytes.length < least) return `expected at least ${least} bytes, got ${bytes.length}`;
  const bitmap = bitmapOf(bytes, length);
  const blockCount = Math.ceil(length / blockLength);
  for (let block = blockCount; block < least * 8; block++) {
    if (isPresent(bitmap, block)) return `expected ${blockCount} blocks, got block ${block}`;
  }
  const expected = (encoding === 'sparse' ? 4 : 2) * presentValues(bitmap, length) + least;
  return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
}

/**
 * Decodes into `target`, writing every value.
 * @param unit value that 1 in half precision stands for
 * @throws RangeError if `vectorFault` finds a fault
 */
export function decodeVector(bytes: Uint8Array, encoding: VectorEncoding, target: Float32Array, unit = 1): void {
  const fault = vectorFault(bytes, encoding, target.length);
  if (fault !== undefined) throw new RangeError(`encoded vector: ${fault}`);
  const bitmap = bitmapOf(bytes, target.length);
  const output = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  const values = encoding === 'sparse' ? bytes : decodeHalves(bytes, presentValues(bitmap, target.length), unit);
  let at = 0;
  forEachRun(bitmap, target.length, (from, to, isThere) => {
    if (!isThere) {
      target.fill(0, from, to);
      return;
    }
    output.set(values.subarray(at, at + 4 * (to - from)), 4 * from);
    at += 4 * (to - from);
  });
}

let halfValues: Float32Array | undefined;

/** Converts the `valueCount` halves at the start of `bytes` to float32 bytes. */
function decodeHalves(bytes: Uint8Array, valueCount: number, unit: number): Uint8Array {
  halfValues ??= float16Values();
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, valueCount);
  const values = new Float32Array(valueCount);
  for (let index = 0; index < valueCount; index++) values[index] = halfValues[halves[index]!]! * unit;
  return new Uint8Array(values.buffer);
}

const bitmapOf = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(bytes.length - bitmapBytes(length));

/**
 * Values in a block. A bitmap has one bit per block, set if the block holds anything but +0. The lowest bit comes
 * first, and the bitmap is whole little-endian 4-byte words. The last block of a vector may be shorter.
 */
const blockLength = 64;

/** Consecutive values `[from, to)` of a vector, in whole blocks. */
interface Run {
  readonly from: number;
  readonly to: number;
}

interface NonZeroBlocks {
  readonly bitmap: Uint8Array;
  readonly runs: readonly Run[];
  /** Values in all runs. */
  readonly valueCount: number;
}

/** Size in bytes of the bitmap of a vector of `length` values. */
const bitmapBytes = (length: number): number => 4 * Math.ceil(Math.ceil(length / blockLength) / 32);

/** Computes the bitmap of a vector. Values are compared by their bits: -0 differs from +0, and NaN is not zero. */
function nonZeroBitmap(values: Float32Array): Uint8Array {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const bitmap = new Uint8Array(bitmapBytes(values.length));
  for (let from = 0, block = 0; from < words.length; from += blockLength, block++) {
    const to = Math.min(words.length, from + blockLength);
    if (!isZero(words, from, to)) bitmap[block >> 3]! |= 1 << (block & 7);
  }
  return bitmap;
}

/** Finds the blocks of a vector to send. @param bitmap the vector's bitmap, if something faster has computed it */
function findNonZeroBlocks(values: Float32Array, bitmap = nonZeroBitmap(values)): NonZeroBlocks {
  const runs: Run[] = [];
  let valueCount = 0;
  forEachRun(bitmap, values.length, (from, to, isThere) => {
    if (!isThere) return;
    runs.push({ from, to });
    valueCount += to - from;
  });
  return { bitmap, runs, valueCount };
}

/** Visits the runs of present and of absent blocks of a vector of `length` values, in order. */
function forEachRun(
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

/** Counts the values in the present blocks of a vector of `length` values. */
function presentValues(bitmap: Uint8Array, length: number): number {
  let count = 0;
  forEachRun(bitmap, length, (from, to, isThere) => {
    if (isThere) count += to - from;
  });
  return count;
}

const isPresent = (bitmap: Uint8Array, block: number): boolean => (bitmap[block >> 3]! & (1 << (block & 7))) !== 0;

/** Returns the first block after `block` whose bit differs, or the bitmap's size in bits. Reads 32 blocks at a time. */
function endOfRun(words: Uint32Array, block: number, isThere: boolean): number {
  const alike = isThere ? -1 : 0;
  for (let at = block; at < 32 * words.length; at = (at | 31) + 1) {
    const others = (words[at >> 5]! ^ alike) >>> (at & 31);
    // The lowest bit that is set.
    if (others !== 0) return at + 31 - Math.clz32(others & -others);
  }
  return 32 * words.length;
}

/** Whether a block is all +0. Usually the first value decides or all are zero, so it reads eight values at a time. */
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

/** Halves follow IEEE 754, rounded to nearest, ties to even; not every supported engine has `Float16Array`. */

/** Returns the values of all 65,536 halves. */
export function float16Values(): Float32Array {
  const values = new Float32Array(65_536);
  for (let half = 0; half < 65_536; half++) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) values[half] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else if (exponent === 0) values[half] = sign * fraction * 2 ** -24;
    else values[half] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return values;
}

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/** Rounds `values` into `halves`. Returns false, with `halves` unspecified, if a value is not finite or overflows. */
export function toFloat16(values: Float32Array, halves: Uint16Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fff_ffff;
    if (size >= 0x477f_f000) return false;
    if (size < 0x3880_0000) {
      // Below 2^-14 a half is a multiple of 2^-24, the unit in the last place of 0.5: adding 0.5 rounds like the float
      // adder.
      scratchBits[0] = size;
      scratch[0] = scratch[0]! + 0.5;
      halves[index] = sign | (scratchBits[0]! - 0x3f00_0000);
    } else {
      // Rebias the exponent from 127 to 15. Adding half a unit less 1, plus the last kept bit, rounds ties to even.
      halves[index] = sign | ((size - 0x3800_0000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    }
  }
  return true;
}
