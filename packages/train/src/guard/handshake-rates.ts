/** Limits how often an address may open a WebSocket. */
import { AddressTable } from './address-table.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** Hundreds of tabs behind one router may come back at one moment, and not again in the next. */
const handshakes: Rate = { capacity: 640, perSecond: 32 };

export class HandshakeRates {
  readonly #buckets: AddressTable<TokenBucket>;

  constructor(nowMs: () => number, rate: Rate = handshakes) {
    this.#buckets = new AddressTable(() => new TokenBucket(rate, nowMs));
  }

  /** Whether the address may open one more now. */
  take(address: string): boolean {
    const bucket = this.#buckets.get(address);
    if (bucket.level < 1) return false;
    bucket.spend(1);
    return true;
  }
}
