/**
 * Encodes float32 vectors in fewer bytes: blocks of nothing but +0 are left out, the others sent as float32 or as halves.
 *
 * Layout: the values of the blocks that are present, in order, in their format; then the bitmap of blocks. The bitmap
 * comes last so that values can be moved together in their own memory.
 */
import { wordsFrom } from './bytes.ts';

/** `fp16` holds halves in a unit that both ends know: lossless for values that are such halves. */
export const vectorEncodings = ['sparse', 'fp16'] as const;
export type VectorEncoding = (typeof vectorEncodings)[number];

/** The least part of the bytes that leaving out zeros must save to be worth a second copy. */
const leastSaving = 0.1;

/**
 * The vector without its zero blocks, encoded in its own memory, which it overwrites. Undefined, and the values
 * unchanged, if that saves less than a tenth of the bytes.
 * @param blocks its bitmap, if something faster than plain loops has found it
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
 * The vector in half precision, without loss if each value is a half times `unit`, a power of two. Undefined if a value
 * is not finite or too large for a half.
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

/** One phrase saying why these bytes are no vector of `length` values; undefined if they are one. */
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
 * Decodes into `target`, every value of which is written. Throws RangeError if `vectorFault` finds a fault.
 * @param unit what 1 in half precision stands for
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

/** The float32 bytes of the halves that `bytes` begin with. */
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
 * A bitmap says which blocks of 64 values hold anything but +0: one bit for each block, the lowest first, in whole
 * little-endian 4-byte words. The last block of a vector may be shorter.
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

/** Bytes of the bitmap of a vector of `length` values. */
const bitmapBytes = (length: number): number => 4 * Math.ceil(Math.ceil(length / blockLength) / 32);

/** The bitmap of a vector. Values are compared by their bits: -0 is not +0, and a NaN counts. */
function nonZeroBitmap(values: Float32Array): Uint8Array {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const bitmap = new Uint8Array(bitmapBytes(values.length));
  for (let from = 0, block = 0; from < words.length; from += blockLength, block++) {
    const to = Math.min(words.length, from + blockLength);
    if (!isZero(words, from, to)) bitmap[block >> 3]! |= 1 << (block & 7);
  }
  return bitmap;
}

/** The blocks of a vector to send. @param bitmap where something faster has found it */
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

/** The runs of a vector of `length` values, in order, and whether the bitmap has their blocks. */
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

/** Values in the blocks that the bitmap of a vector of `length` values has. */
function presentValues(bitmap: Uint8Array, length: number): number {
  let count = 0;
  forEachRun(bitmap, length, (from, to, isThere) => {
    if (isThere) count += to - from;
  });
  return count;
}

const isPresent = (bitmap: Uint8Array, block: number): boolean => (bitmap[block >> 3]! & (1 << (block & 7))) !== 0;

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

/** Halves are those of IEEE 754, rounded to nearest, ties to even; not every engine in use has `Float16Array`. */

/** The value of each of the 65,536 halves. */
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

/** Rounds `values` into `halves`; false, with `halves` unspecified, where one is not finite or rounds to infinity. */
export function toFloat16(values: Float32Array, halves: Uint16Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fff_ffff;
    if (size >= 0x477f_f000) return false;
    if (size < 0x3880_0000) {
      // Below 2^-14 a half is a multiple of 2^-24: adding 0.5, whose last bit is that, rounds as the float adder does.
      scratchBits[0] = size;
      scratch[0] = scratch[0]! + 0.5;
      halves[index] = sign | (scratchBits[0]! - 0x3f00_0000);
    } else {
      // The exponent's bias goes from 127 to 15; half a last bit less 1, and the last bit itself, round to even.
      halves[index] = sign | ((size - 0x3800_0000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    }
  }
  return true;
}
