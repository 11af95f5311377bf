/** Encodes a worker's gradients: without zero blocks where that saves bytes, and in fewer bytes where the run rounds. */
import {
  bytesOf,
  encodeHalves,
  encodeLossy,
  encodeSparse,
  type LossyEncoding,
  type MessageOf,
} from '@lockstep/protocol';
import type { NodeRounding } from '../node-rounding.ts';

/**
 * With a lossy encoding it keeps the rounding error and adds it to this worker's next gradient, whichever shard that is
 * of (error feedback): over many steps, the sum of what is sent is the sum of all gradients. A worker that leaves loses
 * at most one rounding.
 */
export class GradientEncoder {
  readonly #sparse: boolean;
  readonly #rounding: LossyEncoding | NodeRounding | undefined;
  #residual = new Float32Array(0);

  /**
   * @param sparse false where the gradient stays in this process, and encoding only costs time
   * @param rounding what rounds here, or has rounded the gradient: then nothing is left to carry over
   */
  constructor(sparse: boolean, rounding?: LossyEncoding | NodeRounding) {
    this.#sparse = sparse;
    this.#rounding = rounding;
  }

  /** Encodes the values `[from, to)` of a gradient, all where left out; the result may overwrite their memory. */
  encode(gradient: Float32Array, from = 0, to = gradient.length): Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'> {
    const values = gradient.subarray(from, to);
    // Values that the encoding cannot hold are sent as they are, so that the coordinator sees them.
    const rounded = this.#encodeRounded(gradient, from, to);
    if (rounded) return rounded;
    const bytes = this.#sparse ? encodeSparse(values) : undefined;
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: bytesOf(values) };
  }
  #encodeRounded(gradient: Float32Array, from: number, to: number) {
    const [values, rounding] = [gradient.subarray(from, to), this.#rounding];
    if (rounding === undefined) return undefined;
    if (typeof rounding === 'object') {
      const bytes = this.#sparse ? encodeHalves(values, rounding.unit) : undefined;
      return bytes && { bytes, encoding: 'fp16' as const };
    }
    if (this.#residual.length !== gradient.length) this.#residual = new Float32Array(gradient.length);
    const bytes = encodeLossy(values, rounding, this.#residual.subarray(from, to));
    return bytes && { bytes, encoding: rounding };
  }
}
