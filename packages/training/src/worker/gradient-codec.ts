/** Packs a worker's gradients for the way: without their zeros where that pays, and rounded where the run asks for it. */
import { floatsFrom, type LossyEncoding, packLossy, packSparse, type VectorEncoding } from '@lockstep/protocol';

export interface PackedGradient {
  readonly bytes: Uint8Array;
  readonly encoding?: VectorEncoding;
}

export interface PackerOptions {
  /** False where nothing has to travel, and packing would only cost. */
  readonly sparse: boolean;
  readonly lossy?: LossyEncoding | undefined;
}

/**
 * What rounding takes from a gradient is added to this worker's next one, whichever shard that is of: sums over samples
 * of one unit may be carried over, so over many steps the sum of all that is sent is the sum of all gradients. A worker
 * that leaves takes at most one rounding with it.
 * @returns packs little-endian float32 bytes, whose memory may be used for it
 */
export function createPacker({ sparse, lossy }: PackerOptions): (gradient: Uint8Array) => PackedGradient {
  let residual = new Float32Array(0);

  return (gradient) => {
    if (!sparse && lossy === undefined) return { bytes: gradient };
    const values = floatsOf(gradient);
    if (lossy !== undefined) {
      if (residual.length !== values.length) residual = new Float32Array(values.length);
      const bytes = packLossy(values, lossy, residual);
      // Numbers beyond the encoding travel as they are, so that the coordinator sees what they are.
      if (bytes) return { bytes, encoding: lossy };
    }
    const bytes = sparse ? packSparse(values) : undefined;
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: gradient };
  };
}

function floatsOf(bytes: Uint8Array): Float32Array {
  return bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    : floatsFrom(bytes);
}
