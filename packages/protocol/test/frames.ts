/** Frames of valid messages with a fault, and the errors that decoding throws for them. */
import { decode } from '../src/codec.ts';
import type { Side } from '../src/messages.ts';
import { exampleOf, type MessageType, maySend } from './arbitraries.ts';
import { pack, refusalOf } from './refusals.ts';

export const senderOf = (type: MessageType): Side => (maySend('worker', type) ? 'worker' : 'coordinator');

export const refusal = (frame: Uint8Array, from: Side): string => refusalOf(() => decode(frame, from));

/** A valid message with some fields replaced, packed without any check. */
export const packedWith = (type: MessageType, fields: Record<string, unknown>): Uint8Array =>
  pack({ ...exampleOf(type), ...fields });
