/** The two message tables, and helpers for frames that a decoder must refuse. */
import { Packr } from 'msgpackr/pack';
import { expect } from 'vitest';
import { decode, decodeWatch, encode, encodeWatch, ProtocolError } from '../src/codec.ts';
import { type WatchMessage, watchMessages } from '../src/dashboard.ts';
import { type Message, messages } from '../src/messages.ts';
import { example, messageTypes, type Schema, watchMessageTypes } from './arbitraries.ts';

const packr = new Packr({ useRecords: false });

/** Packs any value as a frame, unchecked. */
export const pack = (value: unknown): Uint8Array => new Uint8Array(packr.pack(value));

interface TableEntry {
  readonly table: typeof messages | typeof watchMessages;
  readonly type: string;
  readonly sides: readonly string[];
  readonly from: string;
  readonly example: { readonly type: string };
  readonly schema: Schema;
  encode(message: object): Uint8Array<ArrayBuffer>;
  decode(frame: Uint8Array, from: string): { readonly type: string };
}

const workerTable = {
  table: messages,
  sides: ['worker', 'coordinator'],
  encode: (message: object) => encode(message as Message),
  decode: (frame: Uint8Array, from: string) => decode(frame, from as 'worker' | 'coordinator'),
};
const watchTable = {
  table: watchMessages,
  sides: ['viewer', 'coordinator'],
  encode: (message: object) => encodeWatch(message as WatchMessage),
  decode: (frame: Uint8Array, from: string) => decodeWatch(frame, from as 'viewer' | 'coordinator'),
};

/** Every message type of both tables; those of the dashboard begin with `watch.`. */
export const tableEntries: ReadonlyMap<string, TableEntry> = new Map(
  [
    ...messageTypes.map((type) => [type, type, workerTable, messages[type]] as const),
    ...watchMessageTypes.map((type) => [`watch.${type}`, type, watchTable, watchMessages[type]] as const),
  ].map(([name, type, half, { from, schema }]) => [
    name,
    { ...half, type, from, schema: schema as Schema, example: example(half.table, type) },
  ]),
);

/** The refusal of an example with some fields replaced, which is packed without any check. */
export function refusalOf(name: string, fields: object, from?: string): string {
  const entry = tableEntries.get(name)!;
  return refusal(name, pack({ ...entry.example, ...fields }), from);
}

/** The message of the ProtocolError for a frame. @param from the side that may send the message by default */
export function refusal(name: string, frame: Uint8Array, from?: string): string {
  const { decode: read, from: sender } = tableEntries.get(name)!;
  try {
    read(frame, from ?? (sender === 'either' ? 'worker' : sender));
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return (error as ProtocolError).message;
  }
  throw new Error('expected a ProtocolError, got a message');
}

/** Fails if any decoder throws anything but a ProtocolError with one short line. */
export function expectOnlyProtocolErrors(frame: Uint8Array): void {
  for (const { sides, decode: read } of [workerTable, watchTable]) {
    for (const from of sides) {
      try {
        read(frame, from);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        expect(error.message).not.toContain('\n');
        expect(error.message.length).toBeLessThan(400);
      }
    }
  }
}
