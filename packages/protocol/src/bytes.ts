/** Converts between typed arrays and the raw little-endian bytes of messages. */

/**
 * The float32 values of little-endian `bytes` at any alignment, copied into memory of their own. Throws RangeError where
 * the length is not a multiple of 4.
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

/** The float32 values of little-endian `bytes`: a view where the alignment allows it, otherwise as in `floatsFrom`. */
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
