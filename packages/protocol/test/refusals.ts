/** Helpers for frames that a decoder must refuse. */
import { Packr } from 'msgpackr/pack';
import { expect } from 'vitest';
import { ProtocolError } from '../src/codec.ts';

const packr = new Packr({ useRecords: false });

/** Packs any value as a frame, unchecked. */
export const pack = (value: unknown): Uint8Array => new Uint8Array(packr.pack(value));

/** Returns the message of the ProtocolError that `decode` throws. */
export function refusalOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return (error as ProtocolError).message;
  }
  throw new Error('expected a ProtocolError, got a message');
}

/** Fails if `decode` throws anything but a ProtocolError with one short line. */
export function expectNoOtherError(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    expect(error.message).not.toContain('\n');
    expect(error.message.length).toBeLessThan(400);
  }
}
