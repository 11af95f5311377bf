/**
 * Vectors as messages, in both directions. The first message of a vector holds its first values and, if more follow,
 * announces their total number; chunks bring the rest. A transport sends each message when it has room, so other
 * messages can pass in between. Chunks of two vectors never mix on a connection.
 */
import { type Checksum, chunkChecksum, gradientChecksum } from './checksum.ts';
import { FrameMemory, framed, ProtocolError } from './codec.ts';
import type { CoordinatorMessage, Message, MessageOf } from './messages.ts';
import type { VectorStream } from './transport.ts';

interface ChunkRange {
  readonly from: number;
  readonly to: number;
}

/** Value ranges `[from, to)` of a vector's chunks, in order; at least one. */
function chunkRanges(values: number, chunkBytes: number): ChunkRange[] {
  const size = chunkBytes / 4;
  return Array.from({ length: Math.max(1, Math.ceil(values / size)) }, (_, index) => ({
    from: index * size,
    to: Math.min(values, (index + 1) * size),
  }));
}

/** Fields of a vector's first message that announce chunks; none if no chunks follow. */
export const announced = (values: number, chunkBytes: number): { readonly values?: number } =>
  values * 4 > chunkBytes ? { values } : {};

/**
 * Yields the messages of a float32 vector. Each is made on demand: one is on its way while the next is copied.
 * @param begin makes the first message from its bytes of the vector and its fields
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

type GradientMessage = MessageOf<'gradient'>;

/** Inputs of a gradient's messages. */
export interface GradientParts {
  /** The shard, and the sums over its samples except the gradient. */
  readonly sum: Pick<GradientMessage, 'step' | 'lo' | 'n' | 'lossSum' | 'correct' | 'count'>;
  readonly parameterCount: number;
  readonly chunkBytes: number;
  /** Kernel checksum; plain loops by default. */
  readonly checksum?: Checksum;
  /** Encodes the values `[from, to)` of the gradient. Their memory may change once later values are asked for. */
  readonly encode: (from: number, to: number) => Pick<GradientMessage, 'bytes' | 'encoding'>;
  readonly times: () => Pick<GradientMessage, 'computeMs' | 'turnaroundMs'>;
}

/** Yields the messages of a shard's gradient. Each is made on demand: one is on its way while the next is encoded. */
export function* gradientMessages(parts: GradientParts): Generator<MessageOf<'gradient' | 'chunk'>, void> {
  const { sum, parameterCount, chunkBytes, checksum, encode, times } = parts;
  for (const { from, to } of chunkRanges(parameterCount, chunkBytes)) {
    const encoded = encode(from, to);
    if (from > 0) {
      const chunk = { at: from, ...encoded };
      yield { type: 'chunk', ...chunk, checksum: chunkChecksum(chunk, checksum) };
      continue;
    }
    const signed = { ...sum, ...encoded };
    const fields = { ...signed, ...announced(parameterCount, chunkBytes), ...times() };
    yield { type: 'gradient', ...fields, checksum: gradientChecksum(signed, checksum) };
  }
}

/** Collects the values of an arriving vector, message by message. */
export interface VectorSink<Part> {
  /** Whether all values have arrived. */
  readonly isWhole: boolean;
  /** Takes the first message's values, or the next chunk; returns a description of any fault. */
  add(part: Part): string | undefined;
}

/** A vector that is complete or has a fault; undefined while more of it has to come. */
export type VectorArrival<Sink> = { readonly sink: Sink; readonly fault: string | undefined } | undefined;

/** Receives the vectors of one connection, one after another, each into its own sink. */
export class VectorReceiver<Part, Sink extends VectorSink<Part>> {
  #open: Sink | undefined;

  /** Sink of the vector that still misses chunks. */
  get open(): Sink | undefined {
    return this.#open;
  }

  /** Takes the first message of a vector. Its sink replaces that of an incomplete vector. */
  begin(sink: Sink, part: Part): VectorArrival<Sink> {
    this.#open = undefined;
    const fault = sink.add(part);
    if (fault !== undefined || sink.isWhole) return { sink, fault };
    this.#open = sink;
    return undefined;
  }

  /** Takes a chunk. @throws ProtocolError if no vector is open */
  next(part: Part): VectorArrival<Sink> {
    if (!this.#open) throw new ProtocolError('chunk: expected a vector that it is part of, got none');
    return this.begin(this.#open, part);
  }

  /** Drops an incomplete vector and returns its sink. */
  drop(): Sink | undefined {
    const open = this.#open;
    this.#open = undefined;
    return open;
  }
}

/** A chunk of a float32 vector, or the part in the vector's first message. */
export type FloatChunk = Pick<MessageOf<'chunk'>, 'at' | 'bytes' | 'encoding'>;

/** Assembles a float32 vector, in aligned memory. */
export class VectorAssembly implements VectorSink<FloatChunk> {
  readonly bytes: Uint8Array<ArrayBuffer>;
  #filled = 0;

  /** @param memory reused if its length matches */
  constructor(values: number, memory?: Uint8Array<ArrayBuffer>) {
    this.bytes = memory?.length === 4 * values ? memory : new Uint8Array(4 * values);
  }

  get isWhole(): boolean {
    return this.#filled === this.bytes.length;
  }

  /** Takes the next chunk; returns a description of any fault. */
  add(chunk: FloatChunk): string | undefined {
    const fault = floatChunkFault(chunk, this.#filled / 4, this.bytes.length / 4);
    if (fault !== undefined) return fault;
    this.bytes.set(chunk.bytes, this.#filled);
    this.#filled += chunk.bytes.length;
    return undefined;
  }
}

/** Describes what is wrong with the next chunk of a float32 vector whose values from `due` on are missing. */
export function floatChunkFault({ at, bytes, encoding }: FloatChunk, due: number, values: number): string | undefined {
  const rest = 4 * (values - due);
  if (encoding !== undefined) return `expected float32 values, got ${encoding}`;
  if (at !== due) return `expected the values from ${due} on, got those from ${at} on`;
  if (bytes.length === 0 || bytes.length % 4 !== 0 || bytes.length > rest) {
    return `expected 4 to ${rest} bytes of float32 values, got ${bytes.length}`;
  }
  return undefined;
}

/** Enough for the connections of a step, which mostly send the same chunks. */
const mostFreeMemories = 16;

/** Reuses the memory of frames: garbage outside the heap makes V8 mark the whole heap. */
export class FramePool {
  readonly #frameBytes: number;
  readonly #free: FrameMemory[] = [];

  /** @param frameBytes most bulk bytes of a frame */
  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes;
  }

  /** Memory for one frame. */
  take(): FrameMemory {
    return this.#free.pop() ?? new FrameMemory(this.#frameBytes);
  }

  /** Takes back the memory of a frame that nothing reads any more. */
  give(memory: FrameMemory): void {
    if (this.#free.length < mostFreeMemories) this.#free.push(memory);
  }
}

/** Frames kept for connections that lag behind, 4 MB of the usual chunks; connections further behind get new frames. */
const mostKeptFrames = 8;

/** Vector to broadcast, and how to frame it. */
export interface BroadcastOptions {
  /** Values of the vector. */
  readonly length: number;
  /** The vector's bytes: a view to be read at once, because memory that grows moves. */
  readonly bytes: () => Uint8Array;
  readonly chunkBytes: number;
  /** Makes a chunk's message. @param from its first value @param memory for its frame, if the message needs one */
  readonly messageOf: (bytes: Uint8Array, from: number, memory: FrameMemory) => CoordinatorMessage;
  readonly pool: FramePool;
  /** Called when no connection has anything left to send. */
  readonly onIdle?: () => void;
}

/** A chunk's message, and who still needs its frame. */
interface Frame {
  readonly message: CoordinatorMessage;
  readonly memory: FrameMemory;
  isKept: boolean;
  readers: number;
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
  readonly #ranges: readonly ChunkRange[];
  /** Index of the next chunk, per stream that is not at its end. */
  readonly #places = new Map<OutgoingVector, number>();
  /** Latest frames, by chunk index. Empty once the vector has changed, because there may be many such vectors. */
  readonly #kept = new Map<number, Frame>();
  /** Frames that a connection may be sending. */
  readonly #read = new WeakMap<CoordinatorMessage, Frame>();
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

  /** Chunks given to connections so far. */
  get given(): number {
    return this.#given;
  }

  /** Returns a stream of the vector for one more connection. */
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
