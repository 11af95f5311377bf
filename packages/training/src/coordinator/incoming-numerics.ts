/** A worker's answer to the numerics check, as it arrives: it is hashed and compared part by part, and never kept whole. */
import type { MessageOf } from '@lockstep/protocol';
import type { IncrementalHash, NewHash } from '../incremental-hash.ts';
import { NumericsComparison, type ReferenceGradient } from '../numerics-check.ts';
import { announced, type FloatChunk, floatChunkFault } from '../vector-chunks.ts';
import { valuesFault } from './gradient-check.ts';

type NumericsResult = Omit<MessageOf<'numericsResult'>, 'gradient'>;

export interface IncomingNumericsOptions {
  /** What the coordinator itself computed. */
  readonly reference: ReferenceGradient;
  readonly chunkBytes: number;
  readonly newHash: NewHash;
}

export class IncomingNumerics {
  readonly result: NumericsResult;
  readonly #options: IncomingNumericsOptions;
  readonly #comparison: NumericsComparison;
  readonly #hash: IncrementalHash;
  /** Values so far. */
  #length = 0;

  constructor({ gradient: _first, ...result }: MessageOf<'numericsResult'>, options: IncomingNumericsOptions) {
    this.result = result;
    this.#options = options;
    this.#comparison = new NumericsComparison(options.reference);
    this.#hash = options.newHash();
  }

  /** What is wrong with what the first message announces, in words. */
  announcementFault(): string | undefined {
    const { reference, chunkBytes } = this.#options;
    return valuesFault(this.result, { values: announced(reference.length, chunkBytes).values });
  }

  get isWhole(): boolean {
    return this.result.values === undefined || this.#length === this.result.values;
  }

  /** Takes what the first message brings, or the next chunk; returns what is wrong with it, in words. */
  add(chunk: FloatChunk): string | undefined {
    const { values } = this.result;
    const fault = values === undefined ? undefined : floatChunkFault(chunk, this.#length, values);
    if (fault !== undefined) return fault;
    this.#comparison.add(chunk.bytes);
    this.#hash.update(chunk.bytes);
    this.#length += chunk.bytes.length / 4;
    return undefined;
  }

  /** What is wrong with the whole gradient, as a sentence; undefined where only rounding differs. */
  fault(): string | undefined {
    return this.#comparison.fault();
  }

  /** Of the whole gradient, once. */
  hash(): string {
    return this.#hash.digest('hex');
  }
}
