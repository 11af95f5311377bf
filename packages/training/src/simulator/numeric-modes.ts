/** Ways to round that simulated workers have: each is equal to the bit among its own, and differs from others by rounding. */
import { floatsFrom } from '@lockstep/protocol';

/** What a mode makes of the weights before it computes with them, at full precision from then on. */
export const numericModes = {
  exact: (weights) => weights,
  /** As a device whose loads round anew: every third weight is one unit in its last place further from zero. */
  nudged: (weights) => {
    const bytes = new Uint8Array(floatsFrom(weights).buffer);
    const words = new Uint32Array(bytes.buffer);
    for (let index = 0; index < words.length; index += 3) words[index] = words[index]! + 1;
    return bytes;
  },
} satisfies Record<string, (weights: Uint8Array) => Uint8Array>;

export type NumericMode = keyof typeof numericModes;
