/** The checksum of vectors as they travel, by a backend's kernels where it has them. */
import { type Checksum, checksumOf } from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';

export function checksumBy(codec: CodecKernels | undefined): Checksum {
  return codec ? (bytes) => codec.checksum(bytes) : checksumOf;
}
