/**
 * Packs vectors of float32 into fewer bytes, by chunks of 64 values. A chunk of nothing but +0 is left out, and what is
 * there is kept as it is, as float16, or as int8 with a scale of its own.
 *
 * Layout: for `int8` a scale (float32) for each chunk that is there; the values of those chunks in order, the last of which
 * may be shorter; then a bit for each chunk of the vector, the lowest first, in whole 4-byte words. All little-endian.
 */
import { float16Values, toFloat16 } from './float16.ts';

/** `sparse` loses nothing; the others round, and are used where a run asks for them. */
export type VectorEncoding = 'sparse' | LossyEncoding;
export type LossyEncoding = 'fp16' | 'int8';

export const lossyEncodings = ['fp16', 'int8'] as const satisfies readonly LossyEncoding[];
export const vectorEncodings = ['sparse', ...lossyEncodings] as const satisfies readonly VectorEncoding[];

const chunkLength = 64;
const bytesPerValue: Readonly<Record<VectorEncoding, number>> = { sparse: 4, fp16: 2, int8: 1 };
/** What leaving out zeros must at least save to be worth a second copy. */
const leastSaving = 0.1;

/** What stands behind the values, so that they can be moved together where they are. */
const bitmapBytes = (length: number): number => 4 * Math.ceil(Math.ceil(length / chunkLength) / 32);

/**
 * The vector without its zeros, in its own memory, where its values are lost; or undefined, and the values as they were,
 * where that saves less than a tenth of it.
 */
export function packSparse(values: Float32Array): Uint8Array | undefined {
  const chunks = chunksWhere(values, isLitAt);
  const byteLength = 4 * chunks.values + bitmapBytes(values.length);
  if (byteLength >= (1 - leastSaving) * values.byteLength) return undefined;
  let at = 0;
  for (const { from, to } of chunks.runs) {
    values.copyWithin(at, from, to);
    at += to - from;
  }
  const packed = new Uint8Array(values.buffer, values.byteOffset, byteLength);
  packed.set(chunks.bitmap, 4 * at);
  return packed;
}

/** The chunks of `values` that differ from those of `before`, or undefined where that saves less than a tenth of all. */
export function packChanges(values: Float32Array, before: Float32Array): Uint8Array<ArrayBuffer> | undefined {
  const old = wordsOf(before);
  const chunks = chunksWhere(values, (words, from, to) => {
    for (let index = from; index < to; index++) if (words[index] !== old[index]) return true;
    return false;
  });
  const byteLength = 4 * chunks.values + bitmapBytes(values.length);
  if (byteLength >= (1 - leastSaving) * values.byteLength) return undefined;
  const packed = new Uint8Array(byteLength);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let at = 0;
  for (const { from, to } of chunks.runs) {
    packed.set(bytes.subarray(4 * from, 4 * to), at);
    at += 4 * (to - from);
  }
  packed.set(chunks.bitmap, at);
  return packed;
}

/** Writes the chunks that `packChanges` took over those of `target`. Throws RangeError where `vectorFault` finds a fault. */
export function applyChanges(bytes: Uint8Array, target: Float32Array): void {
  writeFloats(bytes, target, () => {});
}

/**
 * The vector with its values rounded. What rounding took from a value is kept in `residual`, of the same length, and
 * added before the next is rounded, so that over many steps nothing is lost, only late. Undefined, and the residual as it
 * was, where a value is not finite or too large for the encoding.
 */
export function packLossy(
  values: Float32Array,
  encoding: LossyEncoding,
  residual: Float32Array,
): Uint8Array<ArrayBuffer> | undefined {
  const chunks = chunksWhere(values, isLitAt);
  const wanted = new Float32Array(chunks.values);
  let at = 0;
  for (const { from, to } of chunks.runs) {
    for (let index = from; index < to; index++) wanted[at++] = values[index]! + residual[index]!;
  }
  const size = bodyBytes(encoding, chunks.chunks, chunks.values);
  const packed = new Uint8Array(size + chunks.bitmap.length);
  packed.set(chunks.bitmap, size);
  const body = packed.subarray(0, size);
  const lengths = chunkLengths(chunks.bitmap, values.length);
  const rounded = encoding === 'fp16' ? writeFloat16(wanted, body) : writeInt8(wanted, lengths, body);
  if (!rounded) return undefined;
  readBody(encoding, body, lengths, rounded);
  at = 0;
  for (const { from, to } of chunks.runs) {
    for (let index = from; index < to; index++, at++) residual[index] = wanted[at]! - rounded[at]!;
  }
  return packed;
}

/** One sentence saying why these bytes are no vector of `length` values, or undefined where they are. */
export function vectorFault(bytes: Uint8Array, encoding: VectorEncoding, length: number): string | undefined {
  const least = bitmapBytes(length);
  if (bytes.length < least) return `expected at least ${least} bytes, got ${bytes.length}`;
  const bitmap = bitmapOf(bytes, length);
  const chunkCount = Math.ceil(length / chunkLength);
  for (let chunk = chunkCount; chunk < least * 8; chunk++) {
    if (isLit(bitmap, chunk)) return `expected ${chunkCount} chunks, got chunk ${chunk}`;
  }
  const lengths = chunkLengths(bitmap, length);
  const expected = bodyBytes(encoding, lengths.length, sumOf(lengths)) + least;
  return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
}

/** Writes the vector that was packed; every value of `target` is written. Throws RangeError where `vectorFault` finds a fault. */
export function unpackVector(bytes: Uint8Array, encoding: VectorEncoding, target: Float32Array): void {
  if (encoding === 'sparse') {
    writeFloats(bytes, target, (from, to) => target.fill(0, from, to));
    return;
  }
  requireSound(bytes, encoding, target.length);
  const bitmap = bitmapOf(bytes, target.length);
  const lengths = chunkLengths(bitmap, target.length);
  const values = new Float32Array(sumOf(lengths));
  readBody(encoding, bytes.subarray(0, bytes.length - bitmap.length), lengths, values);
  let at = 0;
  forEachRun(bitmap, target.length, (from, to, isThere) => {
    if (!isThere) {
      target.fill(0, from, to);
      return;
    }
    target.set(values.subarray(at, at + to - from), from);
    at += to - from;
  });
}

function requireSound(bytes: Uint8Array, encoding: VectorEncoding, length: number): void {
  const fault = vectorFault(bytes, encoding, length);
  if (fault !== undefined) throw new RangeError(`packed vector: ${fault}`);
}

/** Writes the float32 chunks that are there, and has the others dealt with. */
function writeFloats(bytes: Uint8Array, target: Float32Array, leaveOut: (from: number, to: number) => void): void {
  requireSound(bytes, 'sparse', target.length);
  const output = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  let at = 0;
  forEachRun(bitmapOf(bytes, target.length), target.length, (from, to, isThere) => {
    if (!isThere) {
      leaveOut(from, to);
      return;
    }
    output.set(bytes.subarray(at, at + 4 * (to - from)), 4 * from);
    at += 4 * (to - from);
  });
}

interface Run {
  readonly from: number;
  readonly to: number;
}

interface LitChunks {
  readonly bitmap: Uint8Array;
  readonly runs: readonly Run[];
  readonly chunks: number;
  /** Values in all runs. */
  readonly values: number;
}

/** The chunks that `isThere` says so of, by the words of their values. */
function chunksWhere(
  values: Float32Array,
  isThere: (words: Int32Array, from: number, to: number) => boolean,
): LitChunks {
  const words = wordsOf(values);
  const bitmap = new Uint8Array(bitmapBytes(values.length));
  const runs: { from: number; to: number }[] = [];
  let chunks = 0;
  let total = 0;
  let open: { from: number; to: number } | undefined;
  for (let from = 0, chunk = 0; from < words.length; from += chunkLength, chunk++) {
    const to = Math.min(words.length, from + chunkLength);
    if (!isThere(words, from, to)) {
      open = undefined;
      continue;
    }
    bitmap[chunk >> 3]! |= 1 << (chunk & 7);
    chunks += 1;
    total += to - from;
    if (open) {
      open.to = to;
    } else {
      open = { from, to };
      runs.push(open);
    }
  }
  return { bitmap, runs, chunks, values: total };
}

/** The bits of float32 values: -0 is not 0, and a NaN is itself. */
const wordsOf = (values: Float32Array): Int32Array => new Int32Array(values.buffer, values.byteOffset, values.length);

/** Whether a chunk holds anything but +0. */
const isLitAt = (words: Int32Array, from: number, to: number): boolean => !isZero(words, from, to);

/** Mostly called where the first value decides, or none does. */
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

const bitmapOf = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(bytes.length - bitmapBytes(length));

const isLit = (bitmap: Uint8Array, chunk: number): boolean => (bitmap[chunk >> 3]! & (1 << (chunk & 7))) !== 0;

/** Lengths of the chunks that are there. */
function chunkLengths(bitmap: Uint8Array, length: number): number[] {
  const lengths: number[] = [];
  for (let from = 0, chunk = 0; from < length; from += chunkLength, chunk++) {
    if (isLit(bitmap, chunk)) lengths.push(Math.min(chunkLength, length - from));
  }
  return lengths;
}

function sumOf(lengths: readonly number[]): number {
  return lengths.length === 0 ? 0 : (lengths.length - 1) * chunkLength + lengths.at(-1)!;
}

function forEachRun(
  bitmap: Uint8Array,
  length: number,
  take: (from: number, to: number, isThere: boolean) => void,
): void {
  const chunkCount = Math.ceil(length / chunkLength);
  let first = 0;
  for (let chunk = 1; chunk <= chunkCount; chunk++) {
    if (chunk < chunkCount && isLit(bitmap, chunk) === isLit(bitmap, first)) continue;
    take(first * chunkLength, Math.min(length, chunk * chunkLength), isLit(bitmap, first));
    first = chunk;
  }
}

function bodyBytes(encoding: VectorEncoding, chunks: number, values: number): number {
  return values * bytesPerValue[encoding] + (encoding === 'int8' ? 4 * chunks : 0);
}

let halfValues: Float32Array | undefined;

/** Scratch of the same length for what `readBody` makes of it, or undefined where a value does not fit. */
function writeFloat16(values: Float32Array, body: Uint8Array): Float32Array | undefined {
  const halves = new Uint16Array(body.buffer, body.byteOffset, values.length);
  return toFloat16(values, halves) ? new Float32Array(values.length) : undefined;
}

const int8Levels = 127;
/** Below it a float32 has fewer bits: such a scale would not fit its values. They wait in the residual until they have grown. */
const leastScale = 2 ** -126;

function writeInt8(values: Float32Array, lengths: readonly number[], body: Uint8Array): Float32Array | undefined {
  const scales = new DataView(body.buffer, body.byteOffset, 4 * lengths.length);
  const levels = new Int8Array(body.buffer, body.byteOffset + 4 * lengths.length, values.length);
  let from = 0;
  for (const [chunk, length] of lengths.entries()) {
    let largest = 0;
    // A NaN stays the largest, whatever comes after it.
    for (let index = from; index < from + length; index++) largest = Math.max(largest, Math.abs(values[index]!));
    if (!Number.isFinite(largest)) return undefined;
    const wanted = Math.fround(largest / int8Levels);
    const scale = wanted < leastScale ? 0 : wanted;
    scales.setFloat32(4 * chunk, scale, true);
    const factor = scale === 0 ? 0 : 1 / scale;
    // Shifted to above 0, where cutting off the fraction of a value half a level higher rounds it to the nearest.
    for (let index = from; index < from + length; index++) {
      levels[index] = ((values[index]! * factor + (int8Levels + 0.5)) | 0) - int8Levels;
    }
    from += length;
  }
  return new Float32Array(values.length);
}

function readBody(encoding: LossyEncoding, body: Uint8Array, lengths: readonly number[], values: Float32Array): void {
  if (encoding === 'fp16') {
    halfValues ??= float16Values();
    const aligned = body.byteOffset % 2 === 0 ? body : body.slice();
    const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, values.length);
    for (let index = 0; index < values.length; index++) values[index] = halfValues[halves[index]!]!;
    return;
  }
  const scales = new DataView(body.buffer, body.byteOffset, 4 * lengths.length);
  const levels = new Int8Array(body.buffer, body.byteOffset + 4 * lengths.length, values.length);
  let from = 0;
  for (const [chunk, length] of lengths.entries()) {
    const scale = scales.getFloat32(4 * chunk, true);
    for (let index = from; index < from + length; index++) values[index] = levels[index]! * scale;
    from += length;
  }
}
