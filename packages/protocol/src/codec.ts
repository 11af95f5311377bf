/** Turns messages into msgpack frames and checked frames back into messages. */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr/pack';
import * as v from 'valibot';
import { checkFrame } from './frame.ts';
import { type Message, type MessageFrom, type MessageType, maySend, messages, type Side } from './messages.ts';
import { ProtocolError } from './protocol-error.ts';
import { toSentence } from './text.ts';

// The pure JavaScript build: the same code on every engine, and no native reader in front of untrusted bytes.
const settings = { useRecords: false, int64AsType: 'number' } as const;
const packr = new Packr(settings);
/** Packs straight into memory that the frame then keeps, where a copy from a scratch buffer would cost more. */
const bulkPackr = new Packr(settings);
/** Bulk bytes from which on that pays. */
const bulkFrom = 4_096;
/** More than everything but bytes and text can take in a message; a larger one is still packed right, only slower. */
const smallFieldsBytes = 1_024;

const frames = new WeakMap<Message, Uint8Array<ArrayBuffer>>();

/**
 * The frame of a message, in memory of its own. One message object is packed once, however many peers it goes to, so
 * it and its bytes must not change after the first call. The frame is shared as well: never write to it.
 */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  const known = frames.get(message);
  if (known !== undefined) return known;
  const frame = pack(message);
  frames.set(message, frame);
  return frame;
}

function pack(message: Message): Uint8Array<ArrayBuffer> {
  let bulkBytes = 0;
  for (const value of Object.values(message)) if (value instanceof Uint8Array) bulkBytes += value.length;
  // msgpackr's scratch buffer is up to four times the frame; a copy of the right size lets it be used again.
  if (bulkBytes < bulkFrom) return new Uint8Array(packr.pack(message, RESET_BUFFER_MODE));
  bulkPackr.useBuffer(allocate(bulkBytes + smallFieldsBytes));
  const frame = bulkPackr.pack(message);
  return new Uint8Array(frame.buffer as ArrayBuffer, frame.byteOffset, frame.byteLength);
}

/** Where Node's Buffer exists, msgpackr writes text with its methods; its memory need not be zeroed first. */
declare const Buffer: { allocUnsafeSlow(size: number): Uint8Array } | undefined;

function allocate(size: number): Uint8Array {
  return typeof Buffer === 'undefined' ? new Uint8Array(size) : Buffer.allocUnsafeSlow(size);
}

/**
 * The message in `frame`, every field checked, given that `from` sent it. Fields of bytes are views into `frame`, at
 * any alignment: they live as long as its memory is not reused (see `floatsFrom`). The cost does not grow with them.
 *
 * Throws ProtocolError, and nothing else, when the frame is not a message that `from` may send.
 */
export function decode<S extends Side>(frame: Uint8Array, from: S): MessageFrom<S> {
  checkFrame(frame);
  const value = unpack(frame);
  const type = typeOf(value);
  if (!maySend(from, type)) {
    throw new ProtocolError(`${type}: expected it from the ${messages[type].from}, got it from the ${from}`);
  }
  const result = v.safeParse(messages[type].schema, value, { abortEarly: true });
  if (!result.success) throw new ProtocolError(sentenceOf(type, result.issues[0]));
  return result.output as MessageFrom<S>;
}

function unpack(frame: Uint8Array): object {
  try {
    // A view of its own: msgpackr leaves a property on what it reads, and Buffers would yield Buffers.
    return packr.unpack(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength));
  } catch {
    throw new ProtocolError(`frame: expected msgpack, got ${frame.length} bytes that do not parse`);
  }
}

function typeOf(value: object): MessageType {
  const type: unknown = 'type' in value ? value.type : undefined;
  if (typeof type === 'string' && Object.hasOwn(messages, type)) return type as MessageType;
  const got = typeof type === 'string' ? quoted(type) : describe(type);
  throw new ProtocolError(`frame: expected a known message type, got ${got}`);
}

function sentenceOf(type: MessageType, issue: v.BaseIssue<unknown>): string {
  const field = v.getDotPath(issue)?.slice(0, 60);
  if (issue.type === 'strict_object' && field !== undefined) {
    return issue.expected === 'never'
      ? `${type}: expected no other field, got ${quoted(field)}`
      : `${type}: expected the field ${field}, got none`;
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

/** The numbers and lengths of a message, for checks that concern several fields: `lo 3, n 2, pixels of 784 bytes`. */
function describeMembers(value: unknown): string {
  const members = Object.entries(value as object).filter(([, member]) => typeof member !== 'string');
  return members
    .map(([key, member]) => (member instanceof Uint8Array ? `${key} of ${member.length} bytes` : `${key} ${member}`))
    .join(', ');
}

/** Never the text of a string: it may be a token. */
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

const quoted = (text: string): string => JSON.stringify(text === '' ? text : toSentence(text, 40));
