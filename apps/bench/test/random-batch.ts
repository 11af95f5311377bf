/** Random batches similar to MNIST's. */
import type { Batch } from '../src/work.ts';

/** Most pixels are 0, for which the reference and the kernels take a shortcut. */
export function randomBatch(random: () => number, samples: number): Batch {
  return {
    samples: Uint8Array.from({ length: samples * 784 }, () => Math.max(0, Math.floor(random() * 256) - 180)),
    labels: Uint16Array.from({ length: samples }, () => Math.floor(random() * 10)),
  };
}
