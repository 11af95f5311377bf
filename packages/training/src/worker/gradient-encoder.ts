/** Encodes a worker's gradients: without zero chunks where that saves bytes, and rounded where the run asks for it. */
import { encodeLossy, encodeSparse, floatsOf, type LossyEncoding, type MessageOf } from '@lockstep/protocol';

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

  /** @param gradient little-endian float32, whose memory the result may overwrite */
  encode(gradient: Uint8Array): Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'> {
    if (!this.#sparse && this.#lossy === undefined) return { bytes: gradient };
    const values = floatsOf(gradient);
    if (this.#lossy !== undefined) {
      if (this.#residual.length !== values.length) this.#residual = new Float32Array(values.length);
      const bytes = encodeLossy(values, this.#lossy, this.#residual);
      // Values that the encoding cannot hold are sent as they are, so that the coordinator sees them.
      if (bytes) return { bytes, encoding: this.#lossy };
    }
    const bytes = this.#sparse ? encodeSparse(values) : undefined;
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: gradient };
  }
}
