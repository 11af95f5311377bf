/** Encodes messages of the dashboard as msgpack frames, and decodes checked frames back into messages. */
import { decodeBy, encodeObject } from '../table-codec.ts';
import { type WatchMessage, type WatchMessageFrom, type WatchSide, watchMessages } from './messages.ts';

/** As `encode`: a message object is encoded once, however many viewers it goes to, and must not change after that. */
export function encodeWatch(message: WatchMessage): Uint8Array<ArrayBuffer> {
  return encodeObject(message);
}

/** As `decode`. Throws ProtocolError, and nothing else, where the frame is not a message that `from` may send. */
export function decodeWatch<S extends WatchSide>(frame: Uint8Array, from: S): WatchMessageFrom<S> {
  return decodeBy(watchMessages, frame, from) as WatchMessageFrom<S>;
}
