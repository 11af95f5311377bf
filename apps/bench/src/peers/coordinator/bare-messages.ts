/** The messages of a bare star: unchecked plain objects in msgpack. */
import { Packr } from 'msgpackr';

export const packr = new Packr({ useRecords: false });

export type BareMessage =
  | { readonly type: 'weights'; readonly step: number; readonly bytes: Uint8Array }
  | { readonly type: 'task'; readonly step: number; readonly pixels: Uint8Array; readonly labels: Uint8Array }
  | { readonly type: 'gradient'; readonly step: number; readonly bytes: Uint8Array };

export type BareGradient = Extract<BareMessage, { type: 'gradient' }>;
