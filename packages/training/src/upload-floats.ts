/** Copies the float32 values of messages into a backend's vectors. */
import { bytesOf, copyBytes, floatsOf } from '@lockstep/protocol';
import { type Backend, isHostBackend, type Storage } from '@lockstep/tensor';

/**
 * Copies little-endian `bytes`, at any alignment, into a vector of as many values. Where its memory can be seen that is
 * one copy; else bytes that are not aligned, as those of a frame seldom are, take memory of their own first.
 * @throws RangeError where they are not as many
 */
export function uploadFloats(backend: Backend, vector: Storage, bytes: Uint8Array): void {
  const fits = bytes.length === 4 * vector.length;
  if (fits && isHostBackend(backend)) copyBytes(bytesOf(backend.view(vector)), bytes);
  else backend.upload(vector, floatsOf(bytes));
}
