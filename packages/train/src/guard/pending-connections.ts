/**
 * Connections that have not shown yet what they are for: no request, no `hello`. Their number is bounded, in all and from
 * one address; beyond it a new one takes the place of the oldest from the address that has most. So silent connections
 * keep other addresses out never, and their own only for moments.
 */

export interface PendingLimits {
  readonly total: number;
  readonly perAddress: number;
}

export const defaultPendingLimits: PendingLimits = { total: 1_024, perAddress: 512 };

type Cut = () => void;

export class PendingConnections {
  readonly #limits: PendingLimits;
  /** By address: what cuts each connection, the oldest first. */
  readonly #addresses = new Map<string, Map<string, Cut>>();
  #size = 0;

  constructor(limits: PendingLimits) {
    this.#limits = limits;
  }

  /** @param cut ends the connection where another one takes its place */
  add(connection: string, address: string, cut: Cut): void {
    this.settle(connection, address);
    const ofAddress = this.#addresses.get(address) ?? new Map<string, Cut>();
    this.#addresses.set(address, ofAddress);
    ofAddress.set(connection, cut);
    this.#size += 1;
    if (ofAddress.size > this.#limits.perAddress) this.#cutOldest(address);
    else if (this.#size > this.#limits.total) this.#cutOldest(this.#fullestAddress());
  }

  /** The connection has shown what it is for, or has ended. */
  settle(connection: string, address: string): void {
    const ofAddress = this.#addresses.get(address);
    if (!ofAddress?.delete(connection)) return;
    this.#size -= 1;
    if (ofAddress.size === 0) this.#addresses.delete(address);
  }

  #fullestAddress(): string {
    let fullest = '';
    let most = 0;
    for (const [address, { size }] of this.#addresses) {
      if (size > most) [fullest, most] = [address, size];
    }
    return fullest;
  }

  #cutOldest(address: string): void {
    const [oldest] = this.#addresses.get(address) ?? [];
    if (!oldest) return;
    const [connection, cut] = oldest;
    this.settle(connection, address);
    cut();
  }
}
