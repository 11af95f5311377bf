/** Moves the bytes of messages into a backend's vectors. */
import { bytesOf, type Checksum, checksumOf, copyBytes, floatsOf, type Lanes, lanesOf } from '@lockstep/protocol';
import {
  type Backend,
  type CodecKernels,
  type HostBackend,
  isHostBackend,
  type Storage,
  type VectorSum,
} from '@lockstep/tensor';

/** Returns the checksum of vectors in transit, computed by the backend's kernels if it has them. */
export function checksumBy(codec: CodecKernels | undefined): Checksum {
  const lanesBy = lanesIn(codec);
  return (bytes) => checksumOf(bytes, lanesBy);
}

/** Returns the lanes of a checksum, computed by the backend's kernels if it has them. */
export function lanesIn(codec: CodecKernels | undefined): Lanes {
  return codec ? (bytes) => codec.lanes(bytes) : lanesOf;
}

/**
 * Copies little-endian float32 `bytes`, at any alignment, into a vector of the same number of values. Takes one copy if
 * the vector's memory is visible; otherwise unaligned bytes, usual in frames, are first copied to memory of their own.
 * @throws RangeError if the number of values differs
 */
export function uploadFloats(backend: Backend, vector: Storage, bytes: Uint8Array): void {
  const fits = bytes.length === 4 * vector.length;
  if (fits && isHostBackend(backend)) copyBytes(bytesOf(backend.view(vector)), bytes);
  else backend.upload(vector, floatsOf(bytes));
}

/** Returns value `index` of a sum that has not been added, with the bits that adding its vectors would give. */
export function valueAt(backend: HostBackend, sum: VectorSum, index: number): number {
  if (!('left' in sum)) return backend.view(sum)[index]!;
  return Math.fround(valueAt(backend, sum.left, index) + valueAt(backend, sum.right, index));
}
