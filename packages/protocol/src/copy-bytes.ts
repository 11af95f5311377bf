/** Copies bytes between memory of any kind at the speed of memory. */

/** Fits a processor's cache beside what is copied. */
const pieceBytes = 64 * 1024;
/** Engines copy from and to shared memory by words of so many bytes, or byte by byte where the two ends lie differently in them. */
const wordBytes = 8;

const piece = new Uint8Array(pieceBytes + wordBytes);

/**
 * `target.set(source)`, which takes five times as long where one of them is shared and both lie differently in their
 * words: such bytes go by way of memory that is not shared.
 * @throws RangeError where the source is longer
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
  // Pieces lie in the word as the shared end does.
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
