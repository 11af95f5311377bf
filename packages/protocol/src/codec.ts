/** Encodes messages as msgpack frames, and decodes checked frames back into messages. */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr/pack';
import * as v from 'valibot';
import { copyBytes, wordBytes } from './bytes.ts';
import { type WatchMessage, type WatchMessageFrom, type WatchSide, watchMessages } from './dashboard.ts';
import { type MessageTable, toMessageText } from './fields.ts';
import { type Message, type MessageFrom, messages, type Side } from './messages.ts';

/** A refused frame. The message is one sentence with expected and got, without the contents of secret fields. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  /** Close code of the connection (RFC 6455, section 7.4.1): bad frame, text frame. */
  readonly closeCode: 1002 | 1003;

  constructor(message: string, closeCode: 1002 | 1003 = 1002) {
    super(message);
    this.closeCode = closeCode;
  }
}

/**
 * Encodes a message as a frame. A message object is encoded once, however many peers it goes to, so neither it nor its
 * bytes may change after the first call. The frame is shared as well: never write to it.
 * @param pool of memory for the frame of a message that goes to one peer only; new memory by default
 */
export function encode(message: Message, pool?: FramePool): Uint8Array<ArrayBuffer> {
  return pool ? (frames.get(message) ?? pack(message, pool)) : frameOf(message);
}

/** A frame in two parts. */
export interface FrameParts {
  /** A frame, but if there is bulk, the last field of its message is empty. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** The bytes of that field: the message's own, not a copy. */
  readonly bulk: Uint8Array;
}

/** Like `encode`, for a message of the dashboard. */
export function encodeWatch(message: WatchMessage): Uint8Array<ArrayBuffer> {
  return frameOf(message);
}

/**
 * Decodes a frame from `from` and checks every field. Byte fields are views into `frame`, at any alignment (see
 * `floatsFrom`), valid until its memory is reused. The cost does not grow with their length. A long message that is
 * forwarded unchanged reuses the frame it arrived in.
 *
 * @throws ProtocolError, and nothing else, if the frame is not a message that `from` may send
 */
export function decode<S extends Side>(frame: Uint8Array, from: S): MessageFrom<S> {
  return messageIn(messages, frame, from) as MessageFrom<S>;
}

/**
 * Like `decode`, for a frame in two parts.
 * @param bulkOf returns the bulk of a message of this type; undefined if there is none
 */
export function decodeParts<S extends Side>(
  head: Uint8Array,
  from: S,
  bulkOf: (type: Message['type']) => Uint8Array | undefined,
): MessageFrom<S> {
  return messageIn(messages, head, from, bulkOf as (type: string) => Uint8Array | undefined) as MessageFrom<S>;
}

/** Like `decode`, for a message of the dashboard. */
export function decodeWatch<S extends WatchSide>(frame: Uint8Array, from: S): WatchMessageFrom<S> {
  return messageIn(watchMessages, frame, from) as WatchMessageFrom<S>;
}

/**
 * Returns the message with its bytes copied into its frame, which `encode` then returns. This is the only copy: the
 * memory of `bytes` may change afterwards, as a backend's does.
 * @param pool of memory for the frame; new memory by default
 */
export function framed<M extends Extract<Message, { readonly bytes: Uint8Array }>>(
  { bytes, ...fields }: M,
  pool?: FramePool,
): M {
  // The last field of a map ends at the end of the frame.
  const frame = pack({ ...fields, bytes }, pool);
  const message = { ...fields, bytes: frame.subarray(frame.length - bytes.length) } as unknown as M;
  frames.set(message, frame);
  return message;
}

/** Node's Buffer, if it exists: its memory need not be zeroed first. */
declare const Buffer: { allocUnsafeSlow(size: number): Uint8Array } | undefined;

/** Extra bytes of a frame's memory: the fields of the next frame may be longer. */
const spareBytes = 1_024;

function newMemory(bytes: number): ArrayBuffer {
  const size = bytes + spareBytes;
  return typeof Buffer === 'undefined' ? new ArrayBuffer(size) : (Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer);
}

/** Enough for the connections of a step, which mostly send the same chunks. */
const mostFreeBytes = 8 * 1024 * 1024;

/** Reuses the memory of frames: garbage outside the heap makes V8 mark the whole heap. */
export class FramePool {
  readonly #own = new WeakSet<ArrayBuffer>();
  readonly #free: ArrayBuffer[] = [];

  /** Returns memory for a frame. @param bytes its length at most */
  take(bytes: number): ArrayBuffer {
    const free = this.#free.pop();
    const memory = free && free.byteLength >= bytes ? free : newMemory(bytes);
    this.#own.add(memory);
    return memory;
  }

  /** Takes back the memory of a frame that nothing reads any more; does nothing if it is of another pool. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#own.has(buffer)) return;
    const freeBytes = this.#free.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (this.#free.length === 0 || freeBytes + buffer.byteLength <= mostFreeBytes) this.#free.push(buffer);
  }
}

// The pure JavaScript build: the same code on every engine, and no native parser for untrusted bytes.
const packr = new Packr({ useRecords: false, int64AsType: 'number' });
/** Number of bulk bytes from which a frame is worth memory of its own. */
const bulkFrom = 4_096;
export const noBytes: Uint8Array = new Uint8Array(0);
/** Length of msgpack's header of no bytes, and the type byte and length of its header of up to 4 GB. */
const [emptyHeaderBytes, binary32, headerBytes] = [2, 0xc6, 5];

/** Frames of encoded messages and of long decoded ones. */
const frames = new WeakMap<object, Uint8Array<ArrayBuffer>>();

function frameOf(message: object): Uint8Array<ArrayBuffer> {
  let frame = frames.get(message);
  if (frame === undefined) {
    frame = pack(message);
    frames.set(message, frame);
  }
  return frame;
}

/** Packs a message. Its longest bytes come last, and are copied only once, from shared memory as well. */
function pack(message: object, pool?: FramePool): Uint8Array<ArrayBuffer> {
  return joinParts(partsOf(message), pool);
}

/** Encodes a message without a copy of its longest bytes, if they are long: read them before they change. */
export function partsOf(message: object): FrameParts {
  let [longest, bulk] = ['', noBytes];
  for (const [key, value] of Object.entries(message)) {
    if (value instanceof Uint8Array && value.length > bulk.length) [longest, bulk] = [key, value];
  }
  if (bulk.length < bulkFrom) {
    return { head: new Uint8Array(packr.pack(message, RESET_BUFFER_MODE)), bulk: noBytes };
  }
  const { [longest]: _, ...fields } = message as Record<string, unknown>;
  return { head: new Uint8Array(packr.pack({ ...fields, [longest]: noBytes }, RESET_BUFFER_MODE)), bulk };
}

/** Returns the whole frame, with a copy of its bulk bytes if it has any. */
export function joinParts({ head, bulk }: FrameParts, pool?: FramePool): Uint8Array<ArrayBuffer> {
  if (bulk.length === 0) return head;
  const bulkAt = head.length - emptyHeaderBytes + headerBytes;
  const length = bulkAt + bulk.length;
  const memory = pool ? pool.take(length + wordBytes) : newMemory(length);
  // Aligned like the bytes, for a fast copy.
  const from = (bulk.byteOffset - bulkAt) & (wordBytes - 1);
  const frame = new Uint8Array(memory, from, length);
  frame.set(head.subarray(0, -emptyHeaderBytes));
  frame[bulkAt - headerBytes] = binary32;
  new DataView(memory, from).setUint32(bulkAt - headerBytes + 1, bulk.length);
  copyBytes(frame.subarray(bulkAt), bulk);
  return frame;
}

/** Decodes a message of `table` that `from` may send. @param bulkOf returns the bytes of its last field, if sent apart */
function messageIn(
  table: MessageTable,
  frame: Uint8Array,
  from: string,
  bulkOf?: (type: string) => Uint8Array | undefined,
): object {
  checkFrame(frame);
  const value = unpack(frame);
  const type = typeOf(table, value);
  const entry = table[type]!;
  if (entry.from !== from && entry.from !== 'either') {
    throw new ProtocolError(`${type}: expected it from the ${entry.from}, got it from the ${from}`);
  }
  if (bulkOf) insertBulk(value as Record<string, unknown>, bulkOf(type));
  const result = v.safeParse(entry.schema, value, { abortEarly: true });
  if (!result.success) throw new ProtocolError(faultOf(type, result.issues[0]));
  const message = result.output as object;
  if (frame.length >= bulkFrom) frames.set(message, frame as Uint8Array<ArrayBuffer>);
  return message;
}

/** Sets the last field of a message, which its frame leaves empty. */
function insertBulk(message: Record<string, unknown>, bulk: Uint8Array | undefined): void {
  const last = Object.keys(message).at(-1)!;
  const empty = message[last];
  if (!(empty instanceof Uint8Array) || empty.length > 0) refuse('a last field without bytes', describe(empty));
  if (!bulk) refuse('its bytes in shared memory', 'none');
  message[last] = bulk;
}

function unpack(frame: Uint8Array): object {
  try {
    // Pass a new view: msgpackr leaves a property on its input, and Buffers would yield Buffers.
    return packr.unpack(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength));
  } catch {
    throw new ProtocolError(`frame: expected msgpack, got ${frame.length} bytes that do not parse`);
  }
}

function typeOf(table: MessageTable, value: object): string {
  const type: unknown = 'type' in value ? value.type : undefined;
  if (typeof type === 'string' && Object.hasOwn(table, type)) return type;
  throw new ProtocolError(`frame: expected a known message type, got ${quoted(type)}`);
}

function faultOf(type: string, issue: v.BaseIssue<unknown>): string {
  const field = v.getDotPath(issue)?.slice(0, 60);
  if (field === undefined) return `${type}: expected ${issue.message}, got ${describeMembers(issue.input)}`;
  if (issue.type === 'strict_object') {
    if (issue.expected === 'never') return `${type}: expected no other field, got ${quoted(field)}`;
    if (issue.expected === 'Object') return `${type}.${field}: expected an object, got ${describe(issue.input)}`;
    return `${type}: expected the field ${field}, got none`;
  }
  if (issue.type === 'picklist')
    return `${type}.${field}: expected one of ${issue.expected}, got ${quoted(issue.input)}`;
  return `${type}.${field}: expected ${issue.message}, got ${describe(issue.input)}`;
}

/** Lists the numbers and byte lengths of a message, for checks on several fields: `lo 3, n 2, pixels of 784 bytes`. */
function describeMembers(value: unknown): string {
  const members = Object.entries(value as object).filter(([, member]) => typeof member !== 'string');
  return members
    .map(([key, member]) => (member instanceof Uint8Array ? `${key} of ${member.length} bytes` : `${key} ${member}`))
    .join(', ');
}

/** Describes a value for an error message, without the text of a string, which may be a token. */
function describe(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return `a string of ${value.length} characters`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return value === undefined ? 'none' : String(value);
}

/** Describes a value that is not secret. */
function quoted(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value === '' ? '' : toMessageText(value, 40)) : describe(value);
}

/** Deepest nesting of a message: the model description is the only nested field. */
export const maxDepth = 32;

/** Most values (keys included) in a frame; only a model description needs more than twenty. */
export const maxValues = 16_384;

/** Longest string or key, in bytes. */
const maxStringBytes = 16_384;

/**
 * Bounds the work of decoding a frame by walking its headers first. Bulk bytes are skipped, so the walk takes a few
 * dozen steps however long the frame is.
 * @throws ProtocolError unless the frame is one complete map with string keys, without extension types, no deeper than
 * `maxDepth`, with at most `maxValues` values and strings of at most `maxStringBytes`
 */
export function checkFrame(frame: Uint8Array): void {
  const end = new FrameWalk(frame).walk(0);
  if (end !== frame.length) refuse(`one value of ${end} bytes`, `${frame.length} bytes`);
}

interface Header {
  readonly kind: 'scalar' | 'string' | 'binary' | 'array' | 'map';
  /** Bytes of the length that follows the type byte; 0 if there is none. */
  readonly lengthBytes: number;
  /** Bytes of the value, or number of its items, if no length follows. */
  readonly size: number;
}

/** Headers by type byte, as in the msgpack specification; none for extension types and for 0xc1, which is unused. */
const headers: readonly (Header | undefined)[] = Array.from({ length: 256 }, (_, token) => {
  const sized = (kind: Header['kind'], size: number): Header => ({ kind, lengthBytes: 0, size });
  const measured = (kind: Header['kind'], lengthBytes: number): Header => ({ kind, lengthBytes, size: 0 });
  if (token < 0x80 || token >= 0xe0) return sized('scalar', 0); // small integers
  if (token < 0x90) return sized('map', token - 0x80);
  if (token < 0xa0) return sized('array', token - 0x90);
  if (token < 0xc0) return sized('string', token - 0xa0);
  if (token === 0xc0 || token === 0xc2 || token === 0xc3) return sized('scalar', 0); // nil, false, true
  if (token >= 0xc4 && token <= 0xc6) return measured('binary', 2 ** (token - 0xc4));
  if (token === 0xca || token === 0xcb) return sized('scalar', token === 0xca ? 4 : 8); // float 32, float 64
  if (token >= 0xcc && token <= 0xd3) return sized('scalar', 2 ** (token % 4)); // integers of 8 to 64 bits
  if (token >= 0xd9 && token <= 0xdb) return measured('string', 2 ** (token - 0xd9));
  if (token === 0xdc || token === 0xdd) return measured('array', token === 0xdc ? 2 : 4);
  if (token === 0xde || token === 0xdf) return measured('map', token === 0xde ? 2 : 4);
  return undefined;
});

class FrameWalk {
  readonly #frame: Uint8Array;
  #at = 0;
  #values = 0;

  constructor(frame: Uint8Array) {
    this.#frame = frame;
  }

  /** Walks a value inside of `depth` others. @param isKey whether it is a key of a map @returns its end */
  walk(depth: number, isKey = false): number {
    this.#values += 1;
    if (this.#values > maxValues) refuse(`at most ${maxValues} values`, 'more');
    const { kind, lengthBytes, size: known } = this.#header();
    const size = lengthBytes === 0 ? known : this.#length(lengthBytes);
    if (depth === 0 && kind !== 'map') refuse('a map', `a value of kind ${kind}`);
    if (isKey && kind !== 'string') refuse('a string as key', `a value of kind ${kind}`);
    const isNested = kind === 'map' || kind === 'array';
    if (isNested && size > maxValues) refuse(`at most ${maxValues} values`, `${size} in one ${kind}`);
    if (isNested && depth >= maxDepth) refuse(`nesting of at most ${maxDepth}`, 'more');
    if (kind === 'string' && size > maxStringBytes) {
      refuse(`strings of at most ${maxStringBytes} bytes`, `${size} bytes`);
    }
    if (!isNested) this.#at += size;
    if (this.#at > this.#frame.length) refuse(`${this.#at} bytes from its headers`, `${this.#frame.length} bytes`);
    for (let item = 0; isNested && item < size; item++) {
      if (kind === 'map') this.walk(depth + 1, true);
      this.walk(depth + 1);
    }
    return this.#at;
  }

  #header(): Header {
    if (this.#at >= this.#frame.length) refuse('a complete value', `the end after ${this.#frame.length} bytes`);
    const token = this.#frame[this.#at++]!;
    return headers[token] ?? refuse('maps, arrays, strings, bytes and numbers', `type byte 0x${token.toString(16)}`);
  }

  /** Reads a big-endian unsigned integer. Bytes past the end count as 0, and the caller refuses them. */
  #length(byteCount: number): number {
    let length = 0;
    for (let left = byteCount; left > 0; left--) length = length * 256 + (this.#frame[this.#at++] ?? 0);
    return length;
  }
}

function refuse(expected: string, got: string): never {
  throw new ProtocolError(`frame: expected ${expected}, got ${got}`);
}
