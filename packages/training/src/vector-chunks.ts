/** Vectors as messages: the first brings a vector's first values, chunks bring the others, and together they are it again. */
import { framed, type Message, type MessageOf } from '@lockstep/protocol';

/** The values `[from, to)` of each chunk of a vector, in order; at least one. */
export function chunkRanges(values: number, chunkBytes: number): { readonly from: number; readonly to: number }[] {
  const size = chunkBytes / 4;
  return Array.from({ length: Math.max(1, Math.ceil(values / size)) }, (_, index) => ({
    from: index * size,
    to: Math.min(values, (index + 1) * size),
  }));
}

/** What the first message of a vector says of the others: nothing where it is the only one. */
export const announced = (values: number, chunkBytes: number): { readonly values?: number } =>
  values * 4 > chunkBytes ? { values } : {};

/**
 * The messages of a float32 vector, each made when it is asked for: one is on its way while the next is copied.
 * @param begin makes the first one, with these bytes of the vector and these fields
 */
export function* vectorMessages<First extends Message>(
  vector: Uint8Array,
  chunkBytes: number,
  begin: (bytes: Uint8Array, fields: { readonly values?: number }) => First,
): Generator<First | MessageOf<'chunk'>, void> {
  const values = vector.length / 4;
  for (const { from, to } of chunkRanges(values, chunkBytes)) {
    const bytes = vector.subarray(4 * from, 4 * to);
    if (from === 0) yield begin(bytes, announced(values, chunkBytes));
    else yield framed({ type: 'chunk', at: from, bytes });
  }
}

/** Puts the chunks of a float32 vector together, in memory where they are aligned. */
export class VectorAssembly {
  readonly bytes: Uint8Array<ArrayBuffer>;
  #filled = 0;

  /** @param memory of an earlier vector of the same length */
  constructor(values: number, memory?: Uint8Array<ArrayBuffer>) {
    this.bytes = memory?.length === 4 * values ? memory : new Uint8Array(4 * values);
  }

  get isWhole(): boolean {
    return this.#filled === this.bytes.length;
  }

  /** Takes the next chunk; returns what is wrong with it, in words. */
  add(chunk: FloatChunk): string | undefined {
    const fault = floatChunkFault(chunk, this.#filled / 4, this.bytes.length / 4);
    if (fault !== undefined) return fault;
    this.bytes.set(chunk.bytes, this.#filled);
    this.#filled += chunk.bytes.length;
    return undefined;
  }
}

/** A chunk of a float32 vector, or what its first message brings. */
export type FloatChunk = Pick<MessageOf<'chunk'>, 'at' | 'bytes' | 'encoding'>;

/** What is wrong with the next chunk of a vector of so many values, those from `due` on missing. */
export function floatChunkFault({ at, bytes, encoding }: FloatChunk, due: number, values: number): string | undefined {
  const rest = 4 * (values - due);
  if (encoding !== undefined) return `expected float32 values, got ${encoding}`;
  if (at !== due) return `expected the values from ${due} on, got those from ${at} on`;
  if (bytes.length === 0 || bytes.length % 4 !== 0 || bytes.length > rest) {
    return `expected 4 to ${rest} bytes of float32 values, got ${bytes.length}`;
  }
  return undefined;
}
