/** Encodes messages as msgpack frames, and decodes checked frames back into messages. */
import { type WatchMessage, type WatchMessageFrom, type WatchSide, watchMessages } from './dashboard/messages.ts';
import type { FrameMemory } from './frame-memory.ts';
import { type Message, type MessageFrom, messages, type Side } from './messages.ts';
import { decodeBy, encodeObject, packAround } from './table-codec.ts';

/**
 * The frame of a message, in memory of its own. A message object is encoded once, however many peers it goes to, so it
 * and its bytes must not change after the first call. The frame is shared as well: never write to it.
 */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  return encodeObject(message);
}

/** A message of the table that carries one field `bytes`. */
type BulkMessage = Extract<Message, { readonly bytes: Uint8Array }>;

/**
 * The message with its bytes copied into its frame, which `encode` then gives out. That is the only copy: the memory of
 * `bytes` may change afterwards, as a backend's does.
 * @param memory for the frame, in place of the one before; memory of its own where left out
 */
export function framed<M extends BulkMessage>(message: M, memory?: FrameMemory): M {
  return packAround(message, memory);
}

/**
 * The message in `frame`, which `from` sent, with every field checked. Fields of bytes are views into `frame`, at any
 * alignment (see `floatsFrom`), valid until its memory is reused. The cost does not grow with their length.
 *
 * Throws ProtocolError, and nothing else, when the frame is not a message that `from` may send.
 */
export function decode<S extends Side>(frame: Uint8Array, from: S): MessageFrom<S> {
  return decodeBy(messages, frame, from) as MessageFrom<S>;
}

/** As `encode`, for a message of the dashboard. */
export function encodeWatch(message: WatchMessage): Uint8Array<ArrayBuffer> {
  return encodeObject(message);
}

/** As `decode`, for a message of the dashboard. */
export function decodeWatch<S extends WatchSide>(frame: Uint8Array, from: S): WatchMessageFrom<S> {
  return decodeBy(watchMessages, frame, from) as WatchMessageFrom<S>;
}
