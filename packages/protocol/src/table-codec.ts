/** Encodes messages of one table as msgpack frames, and decodes checked frames back into messages. */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr/pack';
import * as v from 'valibot';
import { copyBytes, isShared } from './copy-bytes.ts';
import { checkFrame } from './frame.ts';
import { allocateFrame, type FrameMemory, smallFieldsBytes } from './frame-memory.ts';
import type { MessageTable } from './message-table.ts';
import { ProtocolError } from './protocol-error.ts';
import { toMessageText } from './text.ts';

// The pure JavaScript build: the same code on every engine, and no native reader in front of untrusted bytes.
const settings = { useRecords: false, int64AsType: 'number' } as const;
const packr = new Packr(settings);
/** Packs into memory that the frame keeps, where a copy from msgpackr's scratch buffer would cost more. */
const bulkPackr = new Packr(settings);
/** The number of bulk bytes from which that is faster. */
const bulkFrom = 4_096;

const frames = new WeakMap<object, Uint8Array<ArrayBuffer>>();

/** See `encode` in codec.ts. */
export function encodeObject(message: object): Uint8Array<ArrayBuffer> {
  const known = frames.get(message);
  if (known !== undefined) return known;
  const frame = pack(message);
  frames.set(message, frame);
  return frame;
}

/** See `framed` in codec.ts. */
export function packAround<M extends { readonly bytes: Uint8Array }>({ bytes, ...fields }: M, memory?: FrameMemory): M {
  // The last field of a map ends where its frame ends.
  const frame = pack({ ...fields, bytes }, memory);
  const message = { ...fields, bytes: frame.subarray(frame.length - bytes.length) } as unknown as M;
  frames.set(message, frame);
  return message;
}

/** See `decode` in codec.ts: the message in `frame`, one of `table` that `from` may send. */
export function decodeBy(table: MessageTable, frame: Uint8Array, from: string): object {
  checkFrame(frame);
  const value = unpack(frame);
  const type = typeOf(table, value);
  const entry = table[type]!;
  if (entry.from !== from && entry.from !== 'either') {
    throw new ProtocolError(`${type}: expected it from the ${entry.from}, got it from the ${from}`);
  }
  const result = v.safeParse(entry.schema, value, { abortEarly: true });
  if (!result.success) throw new ProtocolError(errorMessage(type, result.issues[0]));
  return result.output as object;
}

function pack(message: object, memory?: FrameMemory): Uint8Array<ArrayBuffer> {
  let bulkBytes = 0;
  for (const value of Object.values(message)) if (value instanceof Uint8Array) bulkBytes += value.length;
  // msgpackr's scratch buffer is up to four times the frame; copying the frame out lets it be used again.
  if (bulkBytes < bulkFrom) return new Uint8Array(packr.pack(message, RESET_BUFFER_MODE));
  const size = bulkBytes + smallFieldsBytes;
  bulkPackr.useBuffer(memory?.next(size) ?? allocateFrame(size));
  const frame = bulkPackr.pack(withOwnBytes(message));
  return new Uint8Array(frame.buffer as ArrayBuffer, frame.byteOffset, frame.byteLength);
}

/** The message with shared bytes copied: msgpackr would copy them byte by byte. */
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
    // A view of its own: msgpackr leaves a property on what it reads, and Buffers would yield Buffers.
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

/** The numbers and lengths of a message, for checks on several fields: `lo 3, n 2, pixels of 784 bytes`. */
function describeMembers(value: unknown): string {
  const members = Object.entries(value as object).filter(([, member]) => typeof member !== 'string');
  return members
    .map(([key, member]) => (member instanceof Uint8Array ? `${key} of ${member.length} bytes` : `${key} ${member}`))
    .join(', ');
}

/** A value for an error message; never the text of a string, which may be a token. */
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
