/**
 * Encodes float32 vectors in fewer bytes: blocks of nothing but +0 are left out, the others sent as they are or rounded.
 *
 * Layout: the values of the blocks that are present, in order, in their format; then the bitmap of blocks. The bitmap
 * comes last so that values can be moved together in their own memory.
 */
import { type LossyEncoding, lossyEncodings, lossyFormats } from './lossy-format.ts';
import { bitmapBytes, blockLength, findNonZeroBlocks, forEachRun, isPresent, presentValues } from './vector-blocks.ts';

/** `sparse` is lossless; the others are used only where a run asks for them. `levels` are int8, in units that both sides know. */
export const vectorEncodings = ['sparse', ...lossyEncodings, 'levels'] as const;
export type VectorEncoding = (typeof vectorEncodings)[number];

/** The least part of the bytes that leaving out zeros must save to be worth a second copy. */
const leastSaving = 0.1;

/**
 * The vector without its zero blocks, encoded in its own memory, which it overwrites. Undefined, and the values
 * unchanged, where that saves less than a tenth of the bytes.
 * @param blocks its bitmap, where something faster than plain loops has found it
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
 * The vector rounded, with error feedback: what rounding takes from a value stays in `residual`, of the same length, and
 * is added before the next vector is rounded. Undefined, and the residual unchanged, where a value is not finite or too
 * large for the encoding.
 */
export function encodeLossy(
  values: Float32Array,
  encoding: LossyEncoding,
  residual: Float32Array,
): Uint8Array<ArrayBuffer> | undefined {
  const format = lossyFormats[encoding];
  const { bitmap, runs, valueCount } = findNonZeroBlocks(values);
  const corrected = new Float32Array(valueCount);
  let at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++) corrected[at++] = values[index]! + residual[index]!;
  }
  const bodyBytes = format.byteLength(valueCount);
  const encoded = new Uint8Array(bodyBytes + bitmap.length);
  encoded.set(bitmap, bodyBytes);
  if (!format.write(corrected, encoded)) return undefined;
  const rounded = new Float32Array(valueCount);
  format.read(encoded, rounded);
  at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++, at++) residual[index] = corrected[at]! - rounded[at]!;
  }
  return encoded;
}

/**
 * The vector in half precision, without loss where each value is a half times `unit`, a power of two. Undefined where a
 * value is not finite or too large for a half.
 */
export function encodeHalves(values: Float32Array, unit: number): Uint8Array<ArrayBuffer> | undefined {
  const { bitmap, runs, valueCount } = findNonZeroBlocks(values);
  const present = new Float32Array(valueCount);
  let at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++) present[at++] = values[index]! / unit;
  }
  const bodyBytes = lossyFormats.fp16.byteLength(valueCount);
  const encoded = new Uint8Array(bodyBytes + bitmap.length);
  encoded.set(bitmap, bodyBytes);
  return lossyFormats.fp16.write(present, encoded) ? encoded : undefined;
}

/**
 * The vector in whole levels, without loss where each value is a level from -127 to 127 times its unit, a power of two.
 * Undefined where one is not.
 */
export function encodeLevels(values: Float32Array, units: Float32Array): Uint8Array<ArrayBuffer> | undefined {
  const { bitmap, runs, valueCount } = findNonZeroBlocks(values);
  const encoded = new Uint8Array(valueCount + bitmap.length);
  const levels = new Int8Array(encoded.buffer, 0, valueCount);
  let at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++, at++) {
      const level = values[index]! / units[index]!;
      levels[at] = level;
      if (levels[at] !== level) return undefined;
    }
  }
  encoded.set(bitmap, valueCount);
  return encoded;
}

function bodyLength(encoding: VectorEncoding, valueCount: number): number {
  if (encoding === 'sparse') return 4 * valueCount;
  return encoding === 'levels' ? valueCount : lossyFormats[encoding].byteLength(valueCount);
}

/** One phrase saying why these bytes are no vector of `length` values, or undefined where they are. */
export function vectorFault(bytes: Uint8Array, encoding: VectorEncoding, length: number): string | undefined {
  const least = bitmapBytes(length);
  if (bytes.length < least) return `expected at least ${least} bytes, got ${bytes.length}`;
  const bitmap = bitmapOf(bytes, length);
  const blockCount = Math.ceil(length / blockLength);
  for (let block = blockCount; block < least * 8; block++) {
    if (isPresent(bitmap, block)) return `expected ${blockCount} blocks, got block ${block}`;
  }
  const valueCount = presentValues(bitmap, length);
  const bodyBytes = bodyLength(encoding, valueCount);
  const expected = bodyBytes + least;
  return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
}

/**
 * Decodes into `target`, every value of which is written. Throws RangeError where `vectorFault` finds a fault.
 * @param unit what values that are not float32 are multiplied by: all by one number, or each by its own
 */
export function decodeVector(
  bytes: Uint8Array,
  encoding: VectorEncoding,
  target: Float32Array,
  unit: number | Float32Array = 1,
): void {
  const fault = vectorFault(bytes, encoding, target.length);
  if (fault !== undefined) throw new RangeError(`encoded vector: ${fault}`);
  const bitmap = bitmapOf(bytes, target.length);
  const output = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  const values = encoding === 'sparse' ? bytes : decodeBody(bytes, encoding, presentValues(bitmap, target.length));
  let at = 0;
  forEachRun(bitmap, target.length, (from, to, isThere) => {
    if (!isThere) {
      target.fill(0, from, to);
      return;
    }
    output.set(values.subarray(at, at + 4 * (to - from)), 4 * from);
    at += 4 * (to - from);
  });
  if (encoding !== 'sparse' && unit !== 1) scale(target, unit);
}

function scale(target: Float32Array, unit: number | Float32Array): void {
  for (let index = 0; index < target.length; index++) {
    target[index] = target[index]! * (typeof unit === 'number' ? unit : unit[index]!);
  }
}

function decodeBody(bytes: Uint8Array, encoding: LossyEncoding | 'levels', valueCount: number): Uint8Array {
  const values = new Float32Array(valueCount);
  if (encoding === 'levels') values.set(new Int8Array(bytes.buffer, bytes.byteOffset, valueCount));
  else lossyFormats[encoding].read(bytes, values);
  return new Uint8Array(values.buffer);
}

const bitmapOf = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(bytes.length - bitmapBytes(length));
