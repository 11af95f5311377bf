/** Raw bytes: typed arrays as the little-endian bytes of messages, halves, fast copies, and a checksum. */

/**
 * Copies little-endian `bytes`, at any alignment, into a new array of float32 values.
 * @throws RangeError if the length is not a multiple of 4
 */
export function floatsFrom(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return new Float32Array(alignedCopy(bytes, 'float32', 4));
}

/** Reads little-endian `bytes` as float32 values: a view if they are aligned, otherwise a copy as in `floatsFrom`. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const isAligned = bytes.byteOffset % 4 === 0 && bytes.byteLength % 4 === 0;
  return isAligned ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) : floatsFrom(bytes);
}

/** The u32 values of little-endian `bytes`, copied as in `floatsFrom`. */
export function wordsFrom(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array(alignedCopy(bytes, 'u32', 4));
}

/** The u16 values of little-endian `bytes`, copied as in `floatsFrom`. */
export function halfWordsFrom(bytes: Uint8Array): Uint16Array<ArrayBuffer> {
  return new Uint16Array(alignedCopy(bytes, 'u16', 2));
}

/** The values of a sample in a message, in its dtype; bytes are not copied. */
export function valuesFrom(bytes: Uint8Array, dtype: 'u8' | 'u16' | 'f32'): Uint8Array | Uint16Array | Float32Array {
  if (dtype === 'u8') return bytes;
  return dtype === 'u16' ? halfWordsFrom(bytes) : floatsFrom(bytes);
}

/** The little-endian bytes of `values`, a view of the same memory. */
export function bytesOf(values: Float32Array | Uint32Array | Uint16Array | Uint8Array): Uint8Array {
  requireLittleEndian();
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function alignedCopy(bytes: Uint8Array, type: string, size: number): ArrayBuffer {
  requireLittleEndian();
  if (bytes.byteLength % size !== 0) {
    throw new RangeError(`${type} bytes: expected a multiple of ${size}, got ${bytes.byteLength}`);
  }
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return copy.buffer;
}

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function requireLittleEndian(): void {
  if (!isLittleEndian) throw new Error('raw numbers: expected a little-endian machine, got a big-endian one');
}

/** Engines copy to and from shared memory in words of this size, or bytewise if both ends are aligned differently. */
export const wordBytes = 8;

/** Passes bytes on in pieces that fit the processor's cache together with source and target. */
const passage = new Uint8Array(64 * 1024 + wordBytes);

/**
 * Does what `target.set(source)` does. If either side is shared memory and the two are aligned differently, `set` is
 * several times slower, so the bytes go through unshared memory.
 * @throws RangeError if the source is longer than the target
 */
export function copyBytes(target: Uint8Array, source: Uint8Array): void {
  const isSlow = (isShared(target) || isShared(source)) && (target.byteOffset - source.byteOffset) % wordBytes !== 0;
  if (!isSlow || source.length <= wordBytes) {
    target.set(source);
    return;
  }
  if (source.length > target.length) {
    throw new RangeError(`copy: expected at most ${target.length} bytes, got ${source.length}`);
  }
  // Align each piece like the shared end.
  const offset = (isShared(target) ? target : source).byteOffset % wordBytes;
  const pieceBytes = passage.length - wordBytes;
  for (let at = 0; at < source.length; at += pieceBytes) {
    const part = source.subarray(at, at + pieceBytes);
    passage.set(part, offset);
    target.set(passage.subarray(offset, offset + part.length), at);
  }
}

/** Whether two views begin at the same place of the same memory. */
export const isSamePlace = (one: ArrayBufferView, other: ArrayBufferView): boolean =>
  one.buffer === other.buffer && one.byteOffset === other.byteOffset;

function isShared({ buffer }: Uint8Array): boolean {
  return !(buffer instanceof ArrayBuffer);
}

/** `checksumOf`, or a faster function with the same result. */
export type Checksum = (bytes: Uint8Array) => number;

/** `lanesOf`, or a faster function with the same result. */
export type Lanes = (bytes: Uint8Array) => Int32Array;

/** A prime of XXH32. */
const multiplier = 0x9e3779b1;

/** 32-bit lanes: enough to fill eight vector registers. */
const laneCount = 32;
const lanes = new Int32Array(laneCount);

/** Fits the processor's L1 cache; a whole number of blocks of one word per lane. */
const summedWords = new Int32Array(4 * 1024);
const summed = new Uint8Array(summedWords.buffer);

/**
 * Returns a 32-bit checksum of `bytes`, from 0 to 2^32 - 1. Changing any single word changes it.
 *
 * The byte count takes the words of `lanesOf` as a lane does, and its bits are mixed.
 */
export function checksumOf(bytes: Uint8Array, lanesBy: Lanes = lanesOf): number {
  let sum = lanesBy(bytes).reduce(taken, bytes.length);
  sum = Math.imul(sum ^ (sum >>> 15), 0x85ebca77);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae3d);
  return (sum ^ (sum >>> 16)) >>> 0;
}

/**
 * Returns the 32 lanes of a checksum, in memory that the next call overwrites. Changing any single word changes them.
 *
 * The bytes, as little-endian words with the last block padded with zeros, are dealt to the lanes in turn. Each lane
 * starts at 0. It takes a word by adding it, multiplying the sum, and folding the product's upper half into its lower.
 */
export function lanesOf(bytes: Uint8Array): Int32Array {
  lanes.fill(0);
  for (let at = 0; at < bytes.length; at += summed.length) {
    const part = bytes.subarray(at, at + summed.length);
    const blockBytes = 4 * laneCount * Math.ceil(part.length / (4 * laneCount));
    copyBytes(summed, part);
    summed.fill(0, part.length, blockBytes);
    takeBlocks(blockBytes / 4);
  }
  return lanes;
}

function taken(lane: number, word: number): number {
  const product = Math.imul(lane + word, multiplier);
  return product ^ (product >>> 16);
}

/** Feeds the first `wordCount` words of the piece to the lanes, four lanes at a time to keep them in registers. */
function takeBlocks(wordCount: number): void {
  for (let lane = 0; lane < laneCount; lane += 4) {
    let [a, b, c, d] = [lanes[lane]!, lanes[lane + 1]!, lanes[lane + 2]!, lanes[lane + 3]!];
    for (let at = lane; at < wordCount; at += laneCount) {
      a = taken(a, summedWords[at]!);
      b = taken(b, summedWords[at + 1]!);
      c = taken(c, summedWords[at + 2]!);
      d = taken(d, summedWords[at + 3]!);
    }
    lanes.set([a, b, c, d], lane);
  }
}

/** The values of all 65,536 IEEE 754 halves; not every supported engine has `Float16Array`. */
export function float16Values(): Float32Array {
  return Float32Array.from({ length: 65_536 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/**
 * Rounds `values` into `halves`, to nearest, ties to even. Returns false, with `halves` unspecified, if a value is not
 * finite or overflows.
 */
export function toFloat16(values: Float32Array, halves: Uint16Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fff_ffff;
    if (size >= 0x477f_f000) return false;
    if (size < 0x3880_0000) {
      // Below 2^-14 a half is a multiple of 2^-24, the unit in the last place of 0.5, so adding 0.5 rounds to a half.
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
