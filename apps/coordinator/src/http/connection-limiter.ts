/** Limits the sockets of workers and of viewers, in all and from one address. */

export type ConnectionKind = 'workers' | 'viewers';

export interface ConnectionLimits extends Readonly<Record<ConnectionKind, number>> {
  /** Of either kind, from one address; behind one router many people share one. */
  readonly perAddress: number;
}

export const defaultConnectionLimits: ConnectionLimits = { workers: 320, viewers: 256, perAddress: 512 };

export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #open = new Set<{ readonly kind: ConnectionKind; readonly address: string }>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** Takes a place and returns the function that gives it back, or a message that says why there is none. */
  acquire(kind: ConnectionKind, address: string): (() => void) | string {
    const { perAddress, [kind]: perKind } = this.#limits;
    const open = [...this.#open];
    if (open.filter((each) => each.kind === kind).length >= perKind) {
      return `the coordinator is full: no more than ${perKind} ${kind} may be connected`;
    }
    if (open.filter((each) => each.address === address).length >= perAddress) {
      return `the coordinator is full: no more than ${perAddress} connections may come from one address`;
    }
    const connection = { kind, address };
    this.#open.add(connection);
    return () => void this.#open.delete(connection);
  }
}
