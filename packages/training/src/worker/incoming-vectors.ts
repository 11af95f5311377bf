/** Puts the vectors of the coordinator together from their first messages and chunks. */
import type { MessageOf } from '@lockstep/protocol';
import { VectorAssembly } from '../vector-chunks.ts';

type First = MessageOf<'weights' | 'numericsCheck'>;

export class IncomingVectors {
  #open: { readonly first: First; readonly assembly: VectorAssembly } | undefined;
  /** Of the newest whole vector. */
  #lent: Uint8Array<ArrayBuffer> | undefined;
  /** Of a vector that is not needed any more. */
  #spare: Uint8Array<ArrayBuffer> | undefined;

  /**
   * Takes the next message of a vector; returns it with the whole vector, or undefined where more of it has to come.
   * @throws Error with one sentence where chunks are missing, come twice or do not fit
   */
  take(message: First | MessageOf<'chunk'>): First | undefined {
    if (message.type !== 'chunk') return this.#begin(message);
    if (!this.#open) throw new Error('chunk: expected a vector that it is part of, got none');
    return this.#add(this.#open.first, this.#open.assembly, message);
  }

  /** Lets memory be used for the next vector: its bytes have been copied. */
  reuse(bytes: Uint8Array): void {
    if (bytes === this.#lent) this.#spare = this.#lent;
  }

  #begin(first: First): First | undefined {
    if (this.#open) throw new Error(`${first.type}: expected the other chunks of ${this.#open.first.type} first`);
    const { values } = first;
    if (values === undefined) return first;
    const assembly = new VectorAssembly(values, this.#spare);
    this.#spare = undefined;
    return this.#add(first, assembly, { at: 0, bytes: first.type === 'weights' ? first.bytes : first.weights });
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
