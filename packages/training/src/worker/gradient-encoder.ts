/** Encodes a worker's gradients: without zero blocks if that saves bytes, and as halves if the run rounds to halves. */
import { bytesOf, encodeHalves, encodeSparse, type MessageOf } from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';

type Encoded = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'>;

export class GradientEncoder {
  readonly #sparse: boolean;
  readonly #halfUnit: number | undefined;
  readonly #codec: CodecKernels | undefined;

  /**
   * @param sparse false if the gradient stays in this process, and encoding only costs time
   * @param halfUnit what 1 in half precision stands for, if every value is a half in that unit
   */
  constructor(sparse: boolean, halfUnit?: number, codec?: CodecKernels) {
    this.#sparse = sparse;
    this.#halfUnit = halfUnit;
    this.#codec = codec;
  }

  /** Encodes the values `[from, to)` of a gradient, all by default; the result may overwrite their memory. */
  encode(gradient: Float32Array, from = 0, to = gradient.length): Encoded {
    const values = gradient.subarray(from, to);
    if (!this.#sparse) return { bytes: bytesOf(values) };
    const halves = this.#halfUnit === undefined ? undefined : encodeHalves(values, this.#halfUnit);
    if (halves) return { bytes: halves, encoding: 'fp16' };
    // Values that no half can hold are sent as they are, so that the coordinator sees them.
    const bytes = encodeSparse(values, this.#codec?.nonZeroBlocks(values));
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: bytesOf(values) };
  }
}
