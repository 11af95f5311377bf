/** What a bare star sends: msgpack of plain objects, checked by nobody. */
import { Packr } from 'msgpackr';

export const packr = new Packr({ useRecords: false });

export type BareMessage =
  | { readonly type: 'weights'; readonly step: number; readonly bytes: Uint8Array }
  | { readonly type: 'task'; readonly step: number; readonly pixels: Uint8Array; readonly labels: Uint8Array }
  | { readonly type: 'gradient'; readonly step: number; readonly bytes: Uint8Array };

/** The float32 values of bytes that may lie at any address. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  return bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    : new Float32Array(new Uint8Array(bytes).buffer);
}
