/** Raw bytes: typed arrays as the little-endian bytes of messages, and fast copies. */

/**
 * Copies little-endian `bytes`, at any alignment, into a new array of float32 values.
 * @throws RangeError if the length is not a multiple of 4
 */
export function floatsFrom(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  requireLittleEndian();
  if (bytes.byteLength % 4 !== 0) {
    throw new RangeError(`float32 bytes: expected a multiple of 4, got ${bytes.byteLength}`);
  }
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return new Float32Array(copy.buffer);
}

/** Reads little-endian `bytes` as float32 values: a view if they are aligned, otherwise a copy as in `floatsFrom`. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const isAligned = bytes.byteOffset % 4 === 0 && bytes.byteLength % 4 === 0;
  return isAligned ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) : floatsFrom(bytes);
}

/** The u32 values of little-endian `bytes`, copied as in `floatsFrom`. */
export function wordsFrom(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array(floatsFrom(bytes).buffer);
}

/** The u16 values of little-endian `bytes`, copied as in `floatsFrom`. */
export function halfWordsFrom(bytes: Uint8Array): Uint16Array<ArrayBuffer> {
  requireLittleEndian();
  if (bytes.byteLength % 2 !== 0) throw new RangeError(`u16 bytes: expected a multiple of 2, got ${bytes.byteLength}`);
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return new Uint16Array(copy.buffer);
}

/** The little-endian bytes of `values`, a view of the same memory. */
export function bytesOf(values: Float32Array | Uint32Array | Uint16Array | Uint8Array): Uint8Array {
  requireLittleEndian();
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function requireLittleEndian(): void {
  if (!isLittleEndian) throw new Error('raw numbers: expected a little-endian machine, got a big-endian one');
}

/** Size of a copy through `piece`; fits the processor's cache together with source and target. */
const pieceBytes = 64 * 1024;
/** Engines copy to and from shared memory in words of this size, or bytewise if both ends are aligned differently. */
const wordBytes = 8;

const piece = new Uint8Array(pieceBytes + wordBytes);

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
  for (let at = 0; at < source.length; at += pieceBytes) {
    const part = source.subarray(at, at + pieceBytes);
    piece.set(part, offset);
    target.set(piece.subarray(offset, offset + part.length), at);
  }
}

export function isShared({ buffer }: Uint8Array): boolean {
  return !(buffer instanceof ArrayBuffer);
}
