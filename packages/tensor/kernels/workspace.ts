/** Where kernels keep what lives only during one call. The allocator's heap begins behind it. */
import { packedBytes } from './sizes';

/** First byte: packed operands of a dense product, or the lists of a sparse one, which take less. */
export function workspace(): usize {
  return (__heap_base + 63) & ~63;
}

export function workspaceEnd(): usize {
  return workspace() + packedBytes;
}
