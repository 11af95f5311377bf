/** How the bytes of messages meet a backend's vectors. */
import { bytesOf, type Checksum, checksumOf, copyBytes, floatsOf } from '@lockstep/protocol';
import {
  type Backend,
  type CodecKernels,
  type HostBackend,
  isHostBackend,
  type Storage,
  type VectorSum,
} from '@lockstep/tensor';

/** The checksum of vectors as they travel, by a backend's kernels if it has them. */
export function checksumBy(codec: CodecKernels | undefined): Checksum {
  return codec ? (bytes) => codec.checksum(bytes) : checksumOf;
}

/**
 * Copies little-endian float32 `bytes`, at any alignment, into a vector of as many values. If its memory can be seen that is
 * one copy; otherwise bytes that are not aligned, as those of a frame seldom are, take memory of their own first.
 * @throws RangeError if they are not as many
 */
export function uploadFloats(backend: Backend, vector: Storage, bytes: Uint8Array): void {
  const fits = bytes.length === 4 * vector.length;
  if (fits && isHostBackend(backend)) copyBytes(bytesOf(backend.view(vector)), bytes);
  else backend.upload(vector, floatsOf(bytes));
}

/** Value `index` of a sum that has not been added, with the bits that adding its vectors would give. */
export function valueAt(backend: HostBackend, sum: VectorSum, index: number): number {
  if (!('left' in sum)) return backend.view(sum)[index]!;
  return Math.fround(valueAt(backend, sum.left, index) + valueAt(backend, sum.right, index));
}
