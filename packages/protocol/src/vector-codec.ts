/**
 * Encodes float32 vectors in fewer bytes: blocks of nothing but +0 are left out, the others sent as float32 or as halves.
 *
 * Layout: the values of the blocks that are present, in order, in their format; then the bitmap of blocks. The bitmap
 * comes last so that values can be moved together in their own memory.
 */
import { float16Values, toFloat16 } from './float16.ts';
import { bitmapBytes, blockLength, findNonZeroBlocks, forEachRun, isPresent, presentValues } from './vector-blocks.ts';

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
