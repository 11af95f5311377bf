/** Encodes messages as msgpack frames, and decodes checked frames back into messages. */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr/pack';
import * as v from 'valibot';
import { copyBytes, isShared } from './bytes.ts';
import { type WatchMessage, type WatchMessageFrom, type WatchSide, watchMessages } from './dashboard.ts';
import { type MessageTable, maxDepth } from './fields.ts';
import { type Message, type MessageFrom, messages, type Side } from './messages.ts';
import { toMessageText } from './text.ts';

/** Close codes for a refused frame (RFC 6455, section 7.4.1): bad frame, text frame, frame too large. */
type RefusalCloseCode = 1002 | 1003 | 1009;

/** A refused frame. The message is one sentence with expected and got, without the contents of secret fields. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly closeCode: RefusalCloseCode;

  constructor(message: string, closeCode: RefusalCloseCode = 1002) {
    super(message);
    this.closeCode = closeCode;
  }
}

/**
 * Encodes a message as a frame in its own memory. A message object is encoded once, however many peers it goes to, so
 * neither it nor its bytes may change after the first call. The frame is shared as well: never write to it.
 */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  return encodeObject(message);
}

/** A message type with a field `bytes`. */
type BulkMessage = Extract<Message, { readonly bytes: Uint8Array }>;

/**
 * Returns the message with its bytes copied into its frame, which `encode` then returns. This is the only copy: the
 * memory of `bytes` may change afterwards, as a backend's does.
 * @param memory for the frame, replacing its previous frame; new memory by default
 */
export function framed<M extends BulkMessage>({ bytes, ...fields }: M, memory?: FrameMemory): M {
  // The last field of a map ends at the end of the frame.
  const frame = pack({ ...fields, bytes }, memory);
  const message = { ...fields, bytes: frame.subarray(frame.length - bytes.length) } as unknown as M;
  frames.set(message, frame);
  return message;
}

/**
 * Decodes a frame from `from` and checks every field. Byte fields are views into `frame`, at any alignment (see
 * `floatsFrom`), valid until its memory is reused. The cost does not grow with their length. A long message that is
 * forwarded unchanged reuses the frame it arrived in.
 *
 * @throws ProtocolError, and nothing else, if the frame is not a message that `from` may send
 */
export function decode<S extends Side>(frame: Uint8Array, from: S): MessageFrom<S> {
  return decodeBy(messages, frame, from) as MessageFrom<S>;
}

/** Like `encode`, for a message of the dashboard. */
export function encodeWatch(message: WatchMessage): Uint8Array<ArrayBuffer> {
  return encodeObject(message);
}

/** Like `decode`, for a message of the dashboard. */
export function decodeWatch<S extends WatchSide>(frame: Uint8Array, from: S): WatchMessageFrom<S> {
  return decodeBy(watchMessages, frame, from) as WatchMessageFrom<S>;
}

// The pure JavaScript build: the same code on every engine, and no native parser for untrusted bytes.
const settings = { useRecords: false, int64AsType: 'number' } as const;
const packr = new Packr(settings);
/** Packs directly into the frame's memory: for bulk messages faster than a copy from msgpackr's scratch buffer. */
const bulkPackr = new Packr(settings);
/** Number of bulk bytes from which `bulkPackr` is faster. */
const bulkFrom = 4_096;

/** Frames of encoded messages and of long decoded ones. */
const frames = new WeakMap<object, Uint8Array<ArrayBuffer>>();

function encodeObject(message: object): Uint8Array<ArrayBuffer> {
  const known = frames.get(message);
  if (known !== undefined) return known;
  const frame = pack(message);
  frames.set(message, frame);
  return frame;
}

/** Decodes a message of `table` that `from` may send. */
function decodeBy(table: MessageTable, frame: Uint8Array, from: string): object {
  checkFrame(frame);
  const value = unpack(frame);
  const type = typeOf(table, value);
  const entry = table[type]!;
  if (entry.from !== from && entry.from !== 'either') {
    throw new ProtocolError(`${type}: expected it from the ${entry.from}, got it from the ${from}`);
  }
  const result = v.safeParse(entry.schema, value, { abortEarly: true });
  if (!result.success) throw new ProtocolError(errorMessage(type, result.issues[0]));
  const message = result.output as object;
  if (frame.length >= bulkFrom) frames.set(message, frame as Uint8Array<ArrayBuffer>);
  return message;
}

function pack(message: object, memory?: FrameMemory): Uint8Array<ArrayBuffer> {
  let bulkBytes = 0;
  for (const value of Object.values(message)) if (value instanceof Uint8Array) bulkBytes += value.length;
  // msgpackr's scratch buffer is up to four times the frame; copying the frame out lets the buffer be reused.
  if (bulkBytes < bulkFrom) return new Uint8Array(packr.pack(message, RESET_BUFFER_MODE));
  const size = bulkBytes + smallFieldsBytes;
  bulkPackr.useBuffer(memory?.next(size) ?? allocateFrame(size));
  const frame = bulkPackr.pack(withOwnBytes(message));
  return new Uint8Array(frame.buffer as ArrayBuffer, frame.byteOffset, frame.byteLength);
}

/** Copies a message's shared bytes up front, because msgpackr would copy them byte by byte. */
function withOwnBytes(message: object): object {
  const entries = Object.entries(message);
  if (!entries.some(([, value]) => value instanceof Uint8Array && isShared(value))) return message;
  return Object.fromEntries(
    entries.map(([key, value]) => [key, value instanceof Uint8Array && isShared(value) ? ownCopy(value) : value]),
  );
}

function ownCopy(bytes: Uint8Array): Uint8Array {
  const copy = allocateFrame(bytes.length);
  copyBytes(copy, bytes);
  return copy;
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
  const got = typeof type === 'string' ? quoted(type) : describe(type);
  throw new ProtocolError(`frame: expected a known message type, got ${got}`);
}

function errorMessage(type: string, issue: v.BaseIssue<unknown>): string {
  const field = v.getDotPath(issue)?.slice(0, 60);
  if (issue.type === 'strict_object' && field !== undefined) {
    if (issue.expected === 'never') return `${type}: expected no other field, got ${quoted(field)}`;
    if (issue.expected === 'Object') return `${type}.${field}: expected an object, got ${describe(issue.input)}`;
    return `${type}: expected the field ${field}, got none`;
  }
  const subject = field === undefined ? type : `${type}.${field}`;
  if (issue.type === 'picklist') {
    const got = typeof issue.input === 'string' ? quoted(issue.input) : describe(issue.input);
    return `${subject}: expected one of ${issue.expected}, got ${got}`;
  }
  return field === undefined
    ? `${subject}: expected ${issue.message}, got ${describeMembers(issue.input)}`
    : `${subject}: expected ${issue.message}, got ${describe(issue.input)}`;
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
  switch (typeof value) {
    case 'undefined':
      return 'none';
    case 'string':
      return `a string of ${value.length} characters`;
    case 'object':
      return value === null ? 'null' : 'an object';
    default:
      return String(value);
  }
}

const quoted = (text: string): string => JSON.stringify(text === '' ? text : toMessageText(text, 40));

/** Usual upper bound for the fields of a frame other than its bulk bytes. */
const smallFieldsBytes = 1_024;

/** If Node's Buffer exists, msgpackr writes text with its methods; its memory need not be zeroed first. */
declare const Buffer: { allocUnsafeSlow(size: number): Uint8Array } | undefined;

function allocateFrame(size: number): Uint8Array {
  return typeof Buffer === 'undefined' ? new Uint8Array(size) : Buffer.allocUnsafeSlow(size);
}

/** Reusable memory for one frame at a time. */
export class FrameMemory {
  readonly #block: Uint8Array;

  /** @param bytes most bulk bytes of a frame */
  constructor(bytes: number) {
    this.#block = allocateFrame(bytes + smallFieldsBytes);
  }

  /** Returns memory for a frame of `size` bytes, replacing the previous frame; new memory if the frame does not fit. */
  next(size: number): Uint8Array {
    return this.#block.length < size ? allocateFrame(size) : this.#block;
  }
}

/** Most values (keys included) in a frame; only a model description needs more than twenty. */
export const maxValues = 16_384;

/** Longest string or key, in bytes. */
const maxStringBytes = 16_384;

type Kind = 'scalar' | 'string' | 'binary' | 'array' | 'map';

interface Header {
  readonly kind: Kind;
  /** Bytes of the length field that follows; 0 if there is none. */
  readonly lengthBytes: number;
  /** The length or size if no length field follows. */
  readonly size: number;
}

/**
 * Bounds the work of decoding a frame by walking its headers first. Bulk bytes are skipped, so the walk takes a few
 * dozen steps however long the frame is.
 * @throws ProtocolError unless the frame is one complete map with string keys, without extension types, no deeper than
 * `maxDepth`, with at most `maxValues` values and strings of at most `maxStringBytes`
 */
export function checkFrame(frame: Uint8Array): void {
  const remaining: number[] = [1];
  const isMap: boolean[] = [false];
  let position = 0;
  let values = 0;

  while (remaining.length > 0) {
    const level = remaining.length - 1;
    if (remaining[level] === 0) {
      remaining.pop();
      isMap.pop();
      continue;
    }
    const expectsKey = isMap[level]! && remaining[level]! % 2 === 0;
    remaining[level]! -= 1;
    values += 1;
    if (values > maxValues) refuse(`at most ${maxValues} values`, 'more');

    const header = headerAt(frame, position);
    position += 1;
    if (level === 0 && header.kind !== 'map') refuse('a map', `a value of kind ${header.kind}`);
    if (expectsKey && header.kind !== 'string') refuse('a string as key', `a value of kind ${header.kind}`);

    const size = header.lengthBytes === 0 ? header.size : lengthAt(frame, position, header.lengthBytes);
    position += header.lengthBytes;
    switch (header.kind) {
      case 'array':
      case 'map':
        if (size > maxValues) refuse(`at most ${maxValues} values`, `${size} in one ${header.kind}`);
        if (level >= maxDepth) refuse(`nesting of at most ${maxDepth}`, 'more');
        remaining.push(header.kind === 'map' ? 2 * size : size);
        isMap.push(header.kind === 'map');
        break;
      case 'string':
        if (size > maxStringBytes) refuse(`strings of at most ${maxStringBytes} bytes`, `${size} bytes`);
        position += size;
        break;
      case 'binary':
      case 'scalar':
        position += size;
        break;
      default:
        header.kind satisfies never;
    }
    if (position > frame.length) refuse(`${position} bytes from its headers`, `${frame.length} bytes`);
  }
  if (position !== frame.length) refuse(`one value of ${position} bytes`, `${frame.length} bytes`);
}

function headerAt(frame: Uint8Array, position: number): Header {
  if (position >= frame.length) refuse('a complete value', `the end after ${frame.length} bytes`);
  const token = frame[position]!;
  return headers[token] ?? refuse('maps, arrays, strings, bytes and numbers', `type byte 0x${token.toString(16)}`);
}

function refuse(expected: string, got: string): never {
  throw new ProtocolError(`frame: expected ${expected}, got ${got}`);
}

/** Reads a big-endian unsigned integer. Bytes past the end count as 0, and the caller refuses them. */
function lengthAt(frame: Uint8Array, position: number, byteCount: number): number {
  let length = 0;
  for (let index = 0; index < byteCount; index += 1) length = length * 256 + (frame[position + index] ?? 0);
  return length;
}

/** Type bytes of scalars in the msgpack specification, by the number of value bytes that follow. */
const scalars: Readonly<Record<number, readonly number[]>> = {
  0: [0xc0, 0xc2, 0xc3], // nil, false, true
  1: [0xcc, 0xd0], // uint 8, int 8
  2: [0xcd, 0xd1], // uint 16, int 16
  4: [0xca, 0xce, 0xd2], // float 32, uint 32, int 32
  8: [0xcb, 0xcf, 0xd3], // float 64, uint 64, int 64
};

/** Type bytes followed by a length field, by kind and the size of that field in bytes. */
const withLength = {
  binary: { 1: 0xc4, 2: 0xc5, 4: 0xc6 },
  string: { 1: 0xd9, 2: 0xda, 4: 0xdb },
  array: { 2: 0xdc, 4: 0xdd },
  map: { 2: 0xde, 4: 0xdf },
} as const satisfies Readonly<Record<string, Readonly<Record<number, number>>>>;

/** Headers by type byte; undefined for the extension types and for 0xc1, which the format never uses. */
function createHeaders(): readonly (Header | undefined)[] {
  const headers = new Array<Header | undefined>(256).fill(undefined);
  const fill = (kind: Kind, from: number, to: number): void => {
    for (let token = from; token < to; token++) headers[token] = { kind, lengthBytes: 0, size: token - from };
  };
  fill('map', 0x80, 0x90);
  fill('array', 0x90, 0xa0);
  fill('string', 0xa0, 0xc0);
  const integers = [...Array(0x80).keys(), ...Array.from({ length: 0x20 }, (_, index) => 0xe0 + index)];
  for (const token of integers) headers[token] = { kind: 'scalar', lengthBytes: 0, size: 0 };
  for (const [size, tokens] of Object.entries(scalars)) {
    for (const token of tokens) headers[token] = { kind: 'scalar', lengthBytes: 0, size: Number(size) };
  }
  for (const kind of ['binary', 'string', 'array', 'map'] as const) {
    for (const [bytes, token] of Object.entries(withLength[kind])) {
      headers[token] = { kind, lengthBytes: Number(bytes), size: 0 };
    }
  }
  return headers;
}

const headers = createHeaders();
