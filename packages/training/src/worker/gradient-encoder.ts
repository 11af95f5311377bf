/** Encodes a worker's gradients: without zero blocks where that saves bytes, and in fewer bytes where the run rounds. */
import {
  bytesOf,
  encodeHalves,
  encodeLevels,
  encodeLossy,
  encodeSparse,
  type LossyEncoding,
  type MessageOf,
} from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';
import type { NodeRounding } from '../node-rounding.ts';

type Encoded = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'>;

/**
 * With a lossy encoding it keeps the rounding error and adds it to this worker's next gradient, whichever shard that is
 * of (error feedback): over many steps, the sum of what is sent is the sum of all gradients. A worker that leaves loses
 * at most one rounding.
 */
export class GradientEncoder {
  readonly #sparse: boolean;
  readonly #lossy: LossyEncoding | undefined;
  readonly #codec: CodecKernels | undefined;
  #residual = new Float32Array(0);

  /** @param sparse false where the gradient stays in this process, and encoding only costs time */
  constructor(sparse: boolean, lossy?: LossyEncoding, codec?: CodecKernels) {
    this.#sparse = sparse;
    this.#lossy = lossy;
    this.#codec = codec;
  }

  /**
   * Encodes the values `[from, to)` of a gradient, all where left out; the result may overwrite their memory.
   * @param rounded what has rounded it, as a node of the tree: then nothing is lost here
   */
  encode(gradient: Float32Array, from = 0, to = gradient.length, rounded?: NodeRounding): Encoded {
    const values = gradient.subarray(from, to);
    // Values that the encoding cannot hold are sent as they are, so that the coordinator sees them.
    const encoded = this.#encodeRounded(gradient, from, to, rounded);
    if (encoded) return encoded;
    const bytes = this.#sparse ? encodeSparse(values, this.#codec?.nonZeroBlocks(values)) : undefined;
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: bytesOf(values) };
  }

  #encodeRounded(gradient: Float32Array, from: number, to: number, rounded?: NodeRounding): Encoded | undefined {
    const values = gradient.subarray(from, to);
    if (rounded) return this.#sparse ? encodeNode(values, from, rounded) : undefined;
    if (this.#lossy === undefined) return undefined;
    if (this.#residual.length !== gradient.length) this.#residual = new Float32Array(gradient.length);
    const bytes = encodeLossy(values, this.#lossy, this.#residual.subarray(from, to));
    return bytes && { bytes, encoding: this.#lossy };
  }
}

function encodeNode(values: Float32Array, from: number, rounding: NodeRounding): Encoded | undefined {
  if (rounding.type === 'fp16') {
    const bytes = encodeHalves(values, rounding.unit);
    return bytes && { bytes, encoding: 'fp16' };
  }
  const bytes = encodeLevels(values, rounding.units.subarray(from, from + values.length));
  return bytes && { bytes, encoding: 'levels' };
}
