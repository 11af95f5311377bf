/** Marsaglia's xorshift, for choices that must repeat but need no statistics: numerics check pixels and simulated mishaps. */
export function xorshift32(seed: number): () => number {
  // The state 0 would stay 0 for ever; the multiplication spreads neighboring seeds.
  let state = Math.imul(seed + 1, 0x9e3779b1) | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
