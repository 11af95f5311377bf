/** One vector to any number of connections: each chunk is framed when there is room for it, once for those that are at it. */
import type { CoordinatorMessage, FrameMemory, VectorStream } from '@lockstep/protocol';
import { chunkRanges } from '../vector-chunks.ts';
import type { FramePool } from './frame-pool.ts';

/** Frames that are kept for connections that are behind, 4 MB of the usual chunks; those further behind get their own. */
const mostKeptFrames = 8;

export interface BroadcastOptions {
  /** Values of the vector. */
  readonly length: number;
  /** The vector's bytes: a view that is read at once, as memory that grows moves. */
  readonly bytes: () => Uint8Array;
  readonly chunkBytes: number;
  /** @param from the first value of the chunk @param memory for its frame, where the message is made with one */
  readonly messageOf: (bytes: Uint8Array, from: number, memory: FrameMemory) => CoordinatorMessage;
  readonly pool: FramePool;
  /** Called whenever no connection has any of it left to be sent. */
  readonly onIdle?: () => void;
}

/** A chunk's message, and what still needs its frame. */
interface Frame {
  readonly message: CoordinatorMessage;
  readonly memory: FrameMemory;
  isKept: boolean;
  readers: number;
}

/** A vector on its way to one connection. */
export interface OutgoingVector extends VectorStream<CoordinatorMessage> {
  /** Whether some of it is still to be sent. */
  readonly isOpen: boolean;
  /** The connection has ended. */
  drop(): void;
}

export class VectorBroadcast {
  readonly #options: BroadcastOptions;
  readonly #ranges: ReturnType<typeof chunkRanges>;
  /** Of each stream that is not at its end, the number of its next chunk. */
  readonly #places = new Map<OutgoingVector, number>();
  /** Those made last, by the number of their chunk; none of a vector that has changed, as each may be one of many. */
  readonly #kept = new Map<number, Frame>();
  /** Those that a connection may be sending. */
  readonly #read = new WeakMap<CoordinatorMessage, Frame>();
  #hasChanged = false;
  #given = 0;
  /** What is left to send, from this byte on, of a vector that has changed since. */
  #rest: { readonly at: number; readonly bytes: Uint8Array } | undefined;

  constructor(options: BroadcastOptions) {
    this.#options = options;
    this.#ranges = chunkRanges(options.length, options.chunkBytes);
  }

  /** Whether a connection has still to be sent some of it. */
  get isOpen(): boolean {
    return this.#places.size > 0;
  }

  /** Chunks that connections were given so far. */
  get given(): number {
    return this.#given;
  }

  /** The vector for one more connection. */
  stream(): OutgoingVector {
    const places = this.#places;
    const stream: OutgoingVector = {
      get isOpen() {
        return places.has(stream);
      },
      next: () => this.#next(stream),
      sent: (message) => this.#sent(message),
      drop: () => this.#end(stream),
    };
    this.#places.set(stream, 0);
    return stream;
  }

  /** Copies what is left to send, where something is: the vector changes now. */
  keepRest(): void {
    if (this.#hasChanged) return;
    this.#hasChanged = true;
    this.forgetFrames();
    if (!this.isOpen) return;
    const at = 4 * this.#ranges[Math.min(...this.#places.values())]!.from;
    this.#rest = { at, bytes: this.#options.bytes().slice(at) };
  }

  /** Keeps no more frames for connections that are behind. */
  forgetFrames(): void {
    for (const [index, frame] of this.#kept) this.#forget(index, frame);
  }

  #next(stream: OutgoingVector): CoordinatorMessage | undefined {
    const index = this.#places.get(stream);
    if (index === undefined) return undefined;
    const frame = this.#kept.get(index) ?? this.#make(index);
    frame.readers += 1;
    this.#given += 1;
    if (index + 1 < this.#ranges.length) this.#places.set(stream, index + 1);
    else this.#end(stream);
    return frame.message;
  }

  #make(index: number): Frame {
    const { bytes, messageOf, pool } = this.#options;
    const { from, to } = this.#ranges[index]!;
    const rest = this.#rest ?? { at: 0, bytes: bytes() };
    const memory = pool.take();
    const message = messageOf(rest.bytes.subarray(4 * from - rest.at, 4 * to - rest.at), from, memory);
    const frame: Frame = { message, memory, isKept: !this.#hasChanged, readers: 0 };
    if (frame.isKept) this.#keep(index, frame);
    this.#read.set(message, frame);
    return frame;
  }

  #keep(index: number, frame: Frame): void {
    const [oldest] = this.#kept;
    if (oldest && this.#kept.size >= mostKeptFrames) this.#forget(...oldest);
    this.#kept.set(index, frame);
  }

  #sent(message: CoordinatorMessage): void {
    const frame = this.#read.get(message);
    if (!frame) return;
    frame.readers -= 1;
    this.#release(frame);
  }

  #forget(index: number, frame: Frame): void {
    this.#kept.delete(index);
    frame.isKept = false;
    this.#release(frame);
  }

  #release(frame: Frame): void {
    if (frame.isKept || frame.readers > 0) return;
    this.#read.delete(frame.message);
    this.#options.pool.give(frame.memory);
  }

  #end(stream: OutgoingVector): void {
    if (!this.#places.delete(stream) || this.isOpen) return;
    this.#rest = undefined;
    this.#options.onIdle?.();
  }
}
