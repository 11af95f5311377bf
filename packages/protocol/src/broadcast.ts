/** One vector to many connections: each chunk is framed once for all sockets, in memory that is used again. */
import { type FramePool, framed } from './codec.ts';
import type { CoordinatorMessage } from './messages.ts';
import type { VectorStream } from './transport.ts';
import { chunkRanges, type ValueRange } from './vectors.ts';

/** Frames kept for connections that lag behind, and their bytes; connections further behind get new frames. */
const [mostKeptFrames, mostKeptBytes] = [8, 4 * 1024 * 1024];

/** Vector to broadcast, and how to frame it. */
interface BroadcastOptions {
  /** Values of the vector. */
  readonly length: number;
  /** The vector's bytes: a view to be read at once, because memory that grows moves. */
  readonly bytes: () => Uint8Array;
  readonly chunkBytes: number;
  /** Makes a chunk's message. @param from its first value */
  readonly messageOf: (bytes: Uint8Array, from: number) => CoordinatorMessage;
  /** Memory of frames. */
  readonly pool: FramePool;
  /** Called when no connection has anything left to send. */
  readonly onIdle?: () => void;
}

/** A chunk's message, whose frame's memory returns to the pool without users. */
interface Frame {
  readonly message: CoordinatorMessage;
  /** Connections that may be sending the frame; one more while it is kept. */
  users: number;
}

/** A vector on its way to one connection. */
export interface OutgoingVector extends VectorStream<CoordinatorMessage> {
  /** Whether some of the vector is still to be sent. */
  readonly isOpen: boolean;
  /** Stops sending: the connection has ended. */
  drop(): void;
}

/** Sends one vector to any number of connections. Each chunk is framed on demand, once for all connections at it. */
export class VectorBroadcast {
  readonly #options: BroadcastOptions;
  readonly #ranges: readonly ValueRange[];
  /** Index of the next chunk, per stream that is not at its end. */
  readonly #places = new Map<OutgoingVector, number>();
  /** Latest frames, by chunk index. Empty once the vector has changed, because there may be many such vectors. */
  readonly #kept = new Map<number, Frame>();
  /** Frames that a connection may be sending. */
  readonly #inUse = new WeakMap<CoordinatorMessage, Frame>();
  #hasChanged = false;
  #given = 0;
  /** Copy of the unsent bytes, from byte `at` on, of a vector that has changed since. */
  #rest: { readonly at: number; readonly bytes: Uint8Array } | undefined;

  constructor(options: BroadcastOptions) {
    this.#options = options;
    this.#ranges = chunkRanges(options.length, options.chunkBytes);
  }

  /** Whether some connection has some of the vector still to be sent. */
  get isOpen(): boolean {
    return this.#places.size > 0;
  }

  /** Whether the vector has changed, so that only the connections of before may be sent it. */
  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  /** Chunks given to connections so far. */
  get given(): number {
    return this.#given;
  }

  /**
   * Returns a stream of the vector for one more connection.
   * @param isCopied whether the connection copies each message before the next one is made, which then needs no frame
   */
  stream(isCopied = false): OutgoingVector {
    const places = this.#places;
    const stream: OutgoingVector = {
      get isOpen() {
        return places.has(stream);
      },
      next: () => this.#next(stream, isCopied),
      sent: (message) => this.#release(this.#inUse.get(message)),
      drop: () => this.#end(stream),
    };
    places.set(stream, 0);
    return stream;
  }

  /** Copies the unsent part, if any, because the vector is about to change. */
  keepRest(): void {
    if (this.#hasChanged) return;
    this.#hasChanged = true;
    this.forgetFrames();
    if (!this.isOpen) return;
    const at = 4 * this.#ranges[Math.min(...this.#places.values())]!.from;
    this.#rest = { at, bytes: this.#options.bytes().slice(at) };
  }

  /** Stops keeping frames for connections that lag behind. */
  forgetFrames(): void {
    for (const index of this.#kept.keys()) this.#forget(index);
  }

  #next(stream: OutgoingVector, isCopied: boolean): CoordinatorMessage | undefined {
    const index = this.#places.get(stream);
    if (index === undefined) return undefined;
    const message = isCopied ? this.#messageOf(index) : this.#framed(index);
    this.#given += 1;
    if (index + 1 < this.#ranges.length) this.#places.set(stream, index + 1);
    else this.#end(stream);
    return message;
  }

  #messageOf(index: number): CoordinatorMessage {
    const { from, to } = this.#ranges[index]!;
    const rest = this.#rest ?? { at: 0, bytes: this.#options.bytes() };
    return this.#options.messageOf(rest.bytes.subarray(4 * from - rest.at, 4 * to - rest.at), from);
  }

  #framed(index: number): CoordinatorMessage {
    const frame = this.#kept.get(index) ?? this.#make(index);
    frame.users += 1;
    return frame.message;
  }

  #make(index: number): Frame {
    const unframed = this.#messageOf(index);
    const message = 'bytes' in unframed ? framed(unframed, this.#options.pool) : unframed;
    const frame: Frame = { message, users: 0 };
    this.#inUse.set(message, frame);
    if (this.#hasChanged) return frame;
    const [oldest] = this.#kept.keys();
    const mostFrames = Math.min(mostKeptFrames, mostKeptBytes / this.#options.chunkBytes);
    if (oldest !== undefined && this.#kept.size + 1 > mostFrames) this.#forget(oldest);
    this.#kept.set(index, frame);
    frame.users += 1;
    return frame;
  }

  #forget(index: number): void {
    const frame = this.#kept.get(index);
    this.#kept.delete(index);
    this.#release(frame);
  }

  #release(frame: Frame | undefined): void {
    if (!frame) return;
    frame.users -= 1;
    if (frame.users > 0) return;
    this.#inUse.delete(frame.message);
    if ('bytes' in frame.message) this.#options.pool.give(frame.message.bytes);
  }

  #end(stream: OutgoingVector): void {
    if (!this.#places.delete(stream) || this.isOpen) return;
    this.#rest = undefined;
    this.#options.onIdle?.();
  }
}
