/** One value of a sum of vectors that has not been added. */
import type { HostBackend, VectorSum } from '@lockstep/tensor';

/** Value `index` of the sum, with the bits that adding the vectors would give. */
export function valueAt(backend: HostBackend, sum: VectorSum, index: number): number {
  if (!('left' in sum)) return backend.view(sum)[index]!;
  return Math.fround(valueAt(backend, sum.left, index) + valueAt(backend, sum.right, index));
}
