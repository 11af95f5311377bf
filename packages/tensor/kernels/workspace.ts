/** Where kernels keep what lives only during one call. The allocator's heap begins behind it. */
import { packedBytes } from './sizes';

/** First byte of the packed operands of a dense product, or of a sparse one's lists, which take less. */
export function workspace(): usize {
  return (__heap_base + 63) & ~63;
}

export function workspaceEnd(): usize {
  return workspace() + packedBytes;
}
