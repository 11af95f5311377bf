/** Encodes a worker's gradients: without zero blocks where that saves bytes, and rounded where the run asks for it. */
import { bytesOf, encodeLossy, encodeSparse, type LossyEncoding, type MessageOf } from '@lockstep/protocol';

/**
 * With a lossy encoding it keeps the rounding error and adds it to this worker's next gradient, whichever shard that is
 * of (error feedback): over many steps, the sum of what is sent is the sum of all gradients. A worker that leaves loses
 * at most one rounding.
 */
export class GradientEncoder {
  readonly #sparse: boolean;
  readonly #lossy: LossyEncoding | undefined;
  #residual = new Float32Array(0);

  /** @param sparse false where the gradient stays in this process, and encoding only costs time */
  constructor(sparse: boolean, lossy?: LossyEncoding) {
    this.#sparse = sparse;
    this.#lossy = lossy;
  }

  /** Encodes the values `[from, to)` of a gradient, all where left out; the result may overwrite their memory. */
  encode(gradient: Float32Array, from = 0, to = gradient.length): Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'> {
    const values = gradient.subarray(from, to);
    if (this.#lossy !== undefined) {
      if (this.#residual.length !== gradient.length) this.#residual = new Float32Array(gradient.length);
      const bytes = encodeLossy(values, this.#lossy, this.#residual.subarray(from, to));
      // Values that the encoding cannot hold are sent as they are, so that the coordinator sees them.
      if (bytes) return { bytes, encoding: this.#lossy };
    }
    const bytes = this.#sparse ? encodeSparse(values) : undefined;
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: bytesOf(values) };
  }
}
