/** Every connection that is open, and how many may be that have shown nothing yet. */
import type { Socket } from 'node:net';
import { defaultPendingLimits, PendingConnections } from '../guard/pending-connections.ts';
import { sourceOf } from '../guard/source-address.ts';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';

export class Connections {
  readonly #open = new Set<Socket>();
  /** Those that end by themselves, however long that takes. */
  readonly #ending = new Set<string>();
  readonly #pending = new PendingConnections(defaultPendingLimits);
  readonly #turnedAway: TurnedAwayCounter;

  constructor(turnedAway: TurnedAwayCounter) {
    this.#turnedAway = turnedAway;
  }

  add(socket: Socket): void {
    // A client that has closed again has no address any more.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const address = sourceOf(socket.remoteAddress);
    const key = connectionKey(socket);
    this.#open.add(socket);
    socket.on('close', () => {
      this.#open.delete(socket);
      this.#ending.delete(key);
      this.#pending.settle(key, address);
    });
    this.#pending.add(key, address, () => {
      this.#turnedAway.count('silent');
      socket.destroy();
    });
  }

  /** @param socket the connection's own, or the one inside it where it is encrypted */
  settle(socket: Socket): void {
    this.#pending.settle(connectionKey(socket), sourceOf(socket.remoteAddress));
  }

  /** A connection that ends by itself is not cut with the others. @param socket as of `settle` */
  letEnd(socket: Socket): void {
    this.#ending.add(connectionKey(socket));
  }

  /** Resolves when none is open. */
  async allClosed(): Promise<void> {
    await Promise.all(
      [...this.#open].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))),
    );
  }

  /** Resolves as `closed` does; connections that are open `timeoutMs` from now on, and do not end by themselves, are cut. */
  async cutUnless(closed: Promise<void>, timeoutMs: number): Promise<void> {
    const cut = setTimeout(() => this.#cutAll(), timeoutMs);
    await closed;
    clearTimeout(cut);
  }

  #cutAll(): void {
    for (const socket of this.#open) if (!this.#ending.has(connectionKey(socket))) socket.destroy();
  }
}

function connectionKey({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
