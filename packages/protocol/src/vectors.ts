/**
 * Vectors as messages, in both directions. The first message of a vector holds its first values and, if more follow,
 * announces their total number; chunks bring the rest. A transport sends each message when it has room, so other
 * messages can pass in between. Chunks of two vectors never mix on a connection.
 */
import { type Checksum, checksumOf, float16Values, isSamePlace, toFloat16, wordsFrom } from './bytes.ts';
import { framed, ProtocolError } from './codec.ts';
import type { Message, MessageOf, VectorEncoding } from './messages.ts';

/** Consecutive values `[from, to)` of a vector. */
export interface ValueRange {
  readonly from: number;
  readonly to: number;
}

/** The values of each chunk of a vector, in order; at least one chunk. */
export function chunkRanges(values: number, chunkBytes: number): ValueRange[] {
  const size = chunkBytes / 4;
  return Array.from({ length: Math.max(1, Math.ceil(values / size)) }, (_, index) => ({
    from: index * size,
    to: Math.min(values, (index + 1) * size),
  }));
}

/** Fields of a vector's first message that announce chunks; none if no chunks follow. */
export const announced = (values: number, chunkBytes: number): { readonly values?: number } =>
  values * 4 > chunkBytes ? { values } : {};

/**
 * Yields the messages of a float32 vector. Each is made on demand: one is on its way while the next is copied.
 * @param begin makes the first message from its bytes of the vector and its fields
 */
export function* vectorMessages<First extends Message>(
  vector: Uint8Array,
  chunkBytes: number,
  begin: (bytes: Uint8Array, fields: { readonly values?: number }) => First,
): Generator<First | MessageOf<'chunk'>, void> {
  const values = vector.length / 4;
  for (const { from, to } of chunkRanges(values, chunkBytes)) {
    const bytes = vector.subarray(4 * from, 4 * to);
    if (from === 0) yield begin(bytes, announced(values, chunkBytes));
    else yield framed({ type: 'chunk', at: from, bytes });
  }
}

type GradientMessage = MessageOf<'gradient'>;

/** Fields of a gradient message that affect the step: its shard and the sums over it. */
type ShardSum = Pick<GradientMessage, 'step' | 'lo' | 'n' | 'bytes' | 'lossSum' | 'correct' | 'count'>;

/** Inputs of a gradient's messages. */
interface GradientParts {
  readonly sum: Omit<ShardSum, 'bytes'>;
  readonly parameterCount: number;
  readonly chunkBytes: number;
  /** Kernel checksum; plain loops by default. */
  readonly checksum?: Checksum;
  /** Encodes the values `[from, to)` of the gradient. Their memory may change once later values are asked for. */
  readonly encode: (from: number, to: number) => Pick<GradientMessage, 'bytes' | 'encoding'>;
  readonly times: () => Pick<GradientMessage, 'computeMs' | 'turnaroundMs'>;
}

/** Yields the messages of a shard's gradient. Each is made on demand: one is on its way while the next is encoded. */
export function* gradientMessages(parts: GradientParts): Generator<MessageOf<'gradient' | 'chunk'>, void> {
  const { sum, parameterCount, chunkBytes, checksum, encode, times } = parts;
  for (const { from, to } of chunkRanges(parameterCount, chunkBytes)) {
    const encoded = encode(from, to);
    if (from > 0) {
      const chunk = { at: from, ...encoded };
      yield { type: 'chunk', ...chunk, checksum: chunkChecksum(chunk, checksum) };
      continue;
    }
    const signed = { ...sum, ...encoded };
    const fields = { ...signed, ...announced(parameterCount, chunkBytes), ...times() };
    yield { type: 'gradient', ...fields, checksum: gradientChecksum(signed, checksum) };
  }
}

/** Checksum of a gradient message, which detects corruption of its bytes, shard and sums between two memories. */
export function gradientChecksum(sum: ShardSum, checksum: Checksum = checksumOf): number {
  const { step, lo, n, bytes, lossSum, correct, count } = sum;
  return checksumOfNumbers(step, lo, n, lossSum, correct, count, checksum(bytes));
}

/** Checksum of a gradient chunk: covers its bytes and its position in the vector. */
export function chunkChecksum(
  { at, bytes }: Pick<MessageOf<'chunk'>, 'at' | 'bytes'>,
  checksum: Checksum = checksumOf,
): number {
  return checksumOfNumbers(at, checksum(bytes));
}

function checksumOfNumbers(...numbers: readonly number[]): number {
  return checksumOf(new Uint8Array(Float64Array.from(numbers).buffer));
}

/** Collects the values of an arriving vector, message by message. */
export interface VectorSink<Part> {
  /** Whether all values have arrived. */
  readonly isWhole: boolean;
  /** Takes the first message's values, or the next chunk; returns a description of any fault. */
  add(part: Part): string | undefined;
  /** Returns memory for the next chunk: its place in the vector; undefined if it does not fit there. */
  memoryFor?(byteLength: number): Uint8Array | undefined;
}

/** A vector that is complete or has a fault; undefined while more of it has to come. */
export type VectorArrival<Sink> = { readonly sink: Sink; readonly fault: string | undefined } | undefined;

/** Receives the vectors of one connection, one after another, each into its own sink. */
export class VectorReceiver<Part, Sink extends VectorSink<Part>> {
  #open: Sink | undefined;

  /** Sink of the vector that still misses chunks. */
  get open(): Sink | undefined {
    return this.#open;
  }

  /** Returns memory for the next chunk; undefined if it is part of no vector, or does not fit there. */
  memoryFor(byteLength: number): Uint8Array | undefined {
    return this.#open?.memoryFor?.(byteLength);
  }

  /** Takes the first message of a vector. Its sink replaces that of an incomplete vector. */
  begin(sink: Sink, part: Part): VectorArrival<Sink> {
    const fault = sink.add(part);
    const isOver = fault !== undefined || sink.isWhole;
    this.#open = isOver ? undefined : sink;
    return isOver ? { sink, fault } : undefined;
  }

  /** Takes a chunk. @throws ProtocolError if no vector is open */
  next(part: Part): VectorArrival<Sink> {
    if (!this.#open) throw new ProtocolError('chunk: expected a vector that it is part of, got none');
    return this.begin(this.#open, part);
  }

  /** Drops an incomplete vector and returns its sink. */
  drop(): Sink | undefined {
    const open = this.#open;
    this.#open = undefined;
    return open;
  }
}

/** A chunk of a float32 vector, or the part in the vector's first message. */
export type FloatChunk = Pick<MessageOf<'chunk'>, 'at' | 'bytes' | 'encoding'>;

/** Assembles a float32 vector, in aligned memory. */
export class VectorAssembly implements VectorSink<FloatChunk> {
  readonly bytes: Uint8Array;
  #filled = 0;

  /** @param memory reused if its length matches */
  constructor(values: number, memory?: Uint8Array) {
    this.bytes = memory?.length === 4 * values ? memory : new Uint8Array(4 * values);
  }

  get isWhole(): boolean {
    return this.#filled === this.bytes.length;
  }

  memoryFor(byteLength: number): Uint8Array | undefined {
    const end = this.#filled + byteLength;
    return end <= this.bytes.length ? this.bytes.subarray(this.#filled, end) : undefined;
  }

  add(chunk: FloatChunk): string | undefined {
    const fault = floatChunkFault(chunk, this.#filled / 4, this.bytes.length / 4);
    if (fault !== undefined) return fault;
    const place = this.bytes.subarray(this.#filled);
    if (!isSamePlace(place, chunk.bytes)) place.set(chunk.bytes);
    this.#filled += chunk.bytes.length;
    return undefined;
  }
}

/** Describes what is wrong with the next chunk of a float32 vector whose values from `due` on are missing. */
export function floatChunkFault({ at, bytes, encoding }: FloatChunk, due: number, values: number): string | undefined {
  const rest = 4 * (values - due);
  if (encoding !== undefined) return `expected float32 values, got ${encoding}`;
  if (at !== due) return `expected the values from ${due} on, got those from ${at} on`;
  if (bytes.length === 0 || bytes.length % 4 !== 0 || bytes.length > rest) {
    return `expected 4 to ${rest} bytes of float32 values, got ${bytes.length}`;
  }
  return undefined;
}

/**
 * Compact encodings of float32 vectors omit blocks of values that are all +0, and send the others as float32 or halves.
 *
 * Layout: the values of the present blocks, in order, in their format; then the bitmap of blocks. The bitmap comes
 * last so that values can be compacted in place. It has one bit per block, set if the block holds anything but +0. The
 * lowest bit comes first, and the bitmap is whole little-endian 4-byte words. The last block may be shorter.
 */
const blockLength = 64;

/** Smallest fraction of the bytes that omitting zeros must save to be worth a second copy. */
const leastSaving = 0.1;

/**
 * Encodes the vector without its zero blocks in place, overwriting it. Returns undefined, with the values unchanged, if
 * that saves less than a tenth of the bytes.
 * @param bitmap of the vector's blocks, if something faster than plain loops has computed it
 */
export function encodeSparse(values: Float32Array, bitmap = nonZeroBlocks(values)): Uint8Array | undefined {
  const { runs, valueCount } = presentRuns(bitmap, values.length);
  const valueBytes = 4 * valueCount;
  const byteLength = valueBytes + bitmap.length;
  if (byteLength >= (1 - leastSaving) * values.byteLength) return undefined;
  let at = 0;
  for (const { from, to } of runs) {
    values.copyWithin(at, from, to);
    at += to - from;
  }
  const encoded = new Uint8Array(values.buffer, values.byteOffset, byteLength);
  encoded.set(bitmap, valueBytes);
  return encoded;
}

/**
 * Encodes the vector in half precision, without loss if each value is a half times `unit`, a power of two. Returns
 * undefined if a value is not finite or too large for a half.
 */
export function encodeHalves(values: Float32Array, unit: number): Uint8Array<ArrayBuffer> | undefined {
  const bitmap = nonZeroBlocks(values);
  const { runs, valueCount } = presentRuns(bitmap, values.length);
  const present = new Float32Array(valueCount);
  let at = 0;
  for (const { from, to } of runs) {
    for (let index = from; index < to; index++) present[at++] = values[index]! / unit;
  }
  const encoded = new Uint8Array(2 * present.length + bitmap.length);
  encoded.set(bitmap, 2 * present.length);
  return toFloat16(present, new Uint16Array(encoded.buffer, 0, present.length)) ? encoded : undefined;
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

/** Size in bytes of the bitmap of a vector of `length` values. */
const bitmapBytes = (length: number): number => 4 * Math.ceil(Math.ceil(length / blockLength) / 32);

const bitmapOf = (bytes: Uint8Array, length: number): Uint8Array => bytes.subarray(bytes.length - bitmapBytes(length));

const isPresent = (bitmap: Uint8Array, block: number): boolean => (bitmap[block >> 3]! & (1 << (block & 7))) !== 0;

/** Computes the bitmap of a vector. Values are compared by their bits: -0 differs from +0, and NaN is not zero. */
function nonZeroBlocks(values: Float32Array): Uint8Array {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  const bitmap = new Uint8Array(bitmapBytes(values.length));
  for (let from = 0, block = 0; from < words.length; from += blockLength, block++) {
    const to = Math.min(words.length, from + blockLength);
    if (!isZero(words, from, to)) bitmap[block >> 3]! |= 1 << (block & 7);
  }
  return bitmap;
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

/** The runs of present blocks, and their values: loops over runs are faster than callbacks, which are not inlined. */
function presentRuns(bitmap: Uint8Array, length: number) {
  const runs: { readonly from: number; readonly to: number }[] = [];
  let valueCount = 0;
  forEachRun(bitmap, length, (from, to, isThere) => {
    if (!isThere) return;
    runs.push({ from, to });
    valueCount += to - from;
  });
  return { runs, valueCount };
}

/** Counts the values in the present blocks of a vector of `length` values. */
function presentValues(bitmap: Uint8Array, length: number): number {
  let count = 0;
  forEachRun(bitmap, length, (from, to, isThere) => {
    if (isThere) count += to - from;
  });
  return count;
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
