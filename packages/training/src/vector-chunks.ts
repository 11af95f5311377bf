/** Vectors as messages: the first brings a vector's first values, chunks bring the others, and together they are it again. */
import { type FrameMemory, framed, type Message, type MessageOf } from '@lockstep/protocol';

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
 * @param memory for the frames of the others; memory of their own where left out
 */
export function* vectorMessages<First extends Message>(
  vector: Uint8Array,
  chunkBytes: number,
  begin: (bytes: Uint8Array, fields: { readonly values?: number }) => First,
  memory?: FrameMemory,
): Generator<First | MessageOf<'chunk'>, void> {
  const values = vector.length / 4;
  for (const { from, to } of chunkRanges(values, chunkBytes)) {
    const bytes = vector.subarray(4 * from, 4 * to);
    if (from === 0) yield begin(bytes, announced(values, chunkBytes));
    else yield framed({ type: 'chunk', at: from, bytes }, memory);
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
  add({ at, bytes, encoding }: Pick<MessageOf<'chunk'>, 'bytes' | 'encoding'> & { at: number }): string | undefined {
    const rest = this.bytes.length - this.#filled;
    if (encoding !== undefined) return `expected float32 values, got ${encoding}`;
    if (4 * at !== this.#filled) return `expected the values from ${this.#filled / 4} on, got those from ${at} on`;
    if (bytes.length === 0 || bytes.length % 4 !== 0 || bytes.length > rest) {
      return `expected 4 to ${rest} bytes of float32 values, got ${bytes.length}`;
    }
    this.bytes.set(bytes, this.#filled);
    this.#filled += bytes.length;
    return undefined;
  }
}
