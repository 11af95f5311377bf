/** Puts the vectors of the coordinator together from their first messages and chunks. */
import type { MessageOf } from '@lockstep/protocol';
import { VectorAssembly } from '../vector-chunks.ts';

type First = MessageOf<'weights' | 'numericsCheck'>;

/** Weights come in several: the first of them, or a chunk. */
export type WeightsPart = MessageOf<'weights' | 'chunk'>;

export class IncomingVectors {
  readonly #onWeightsPart: (message: WeightsPart) => void;
  #open: { readonly first: First; readonly assembly: VectorAssembly } | undefined;
  /** Of the newest whole vector. */
  #lent: Uint8Array<ArrayBuffer> | undefined;
  /** Of a vector that is not needed any more. */
  #spare: Uint8Array<ArrayBuffer> | undefined;

  /** @param onWeightsPart takes each message of weights that come in several, once it has been found to fit */
  constructor(onWeightsPart: (message: WeightsPart) => void = () => {}) {
    this.#onWeightsPart = onWeightsPart;
  }

  /**
   * Takes the next message of a vector; returns it with the whole vector, or undefined where more of it has to come.
   * @throws Error with one sentence where chunks are missing, come twice or do not fit
   */
  take(message: First | MessageOf<'chunk'>): First | undefined {
    if (message.type !== 'chunk') return this.#begin(message);
    if (!this.#open) throw new Error('chunk: expected a vector that it is part of, got none');
    const { first, assembly } = this.#open;
    const whole = this.#add(first, assembly, message);
    if (first.type === 'weights') this.#onWeightsPart(message);
    return whole;
  }

  /** Lets memory be used for the next vector: its bytes have been copied. */
  reuse(bytes: Uint8Array): void {
    if (bytes === this.#lent) this.#spare = this.#lent;
  }

  /** It takes the place of one that is not whole: a relay sends weights on as they arrive, and they may break off there. */
  #begin(first: First): First | undefined {
    this.#open = undefined;
    const { values } = first;
    if (values === undefined) return first;
    const assembly = new VectorAssembly(values, this.#spare);
    this.#spare = undefined;
    const whole = this.#add(first, assembly, { at: 0, bytes: first.type === 'weights' ? first.bytes : first.weights });
    if (first.type === 'weights') this.#onWeightsPart(first);
    return whole;
  }

  #add(first: First, assembly: VectorAssembly, chunk: Parameters<VectorAssembly['add']>[0]): First | undefined {
    const fault = assembly.add(chunk);
    if (fault !== undefined) throw new Error(`${first.type}: ${fault}`);
    this.#open = assembly.isWhole ? undefined : { first, assembly };
    if (!assembly.isWhole) return undefined;
    this.#lent = assembly.bytes;
    return first.type === 'weights' ? { ...first, bytes: assembly.bytes } : { ...first, weights: assembly.bytes };
  }
}
