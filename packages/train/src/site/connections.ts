/** Open connections: the client that each counts for, and how many may be open that have shown nothing yet. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import { sameSecret } from '@lockstep/protocol';
import { isLong, type TurnedAwayCounter } from './limiter.ts';

export interface PendingLimits {
  readonly total: number;
  readonly perAddress: number;
}

export const defaultPendingLimits: PendingLimits = { total: 1_024, perAddress: 512 };

type Cut = () => void;

/**
 * Connections that have not shown their purpose yet: no request, no `hello`. Their number is bounded, in total and per
 * address; beyond it, a new one replaces the oldest one from the address that has most. So silent connections never
 * keep other addresses out, and their own address only for moments.
 */
export class PendingConnections {
  readonly #limits: PendingLimits;
  /** By address: functions that cut each connection, oldest first. */
  readonly #addresses = new Map<string, Map<string, Cut>>();
  #size = 0;

  constructor(limits: PendingLimits) {
    this.#limits = limits;
  }

  /** @param cut ends the connection if another one takes its place */
  add(connection: string, address: string, cut: Cut): void {
    this.settle(connection, address);
    const ofAddress = this.#addresses.get(address) ?? new Map<string, Cut>();
    this.#addresses.set(address, ofAddress);
    ofAddress.set(connection, cut);
    this.#size += 1;
    if (ofAddress.size > this.#limits.perAddress) this.#cutOldest(address);
    else if (this.#size > this.#limits.total) this.#cutOldest(this.#fullestAddress());
  }

  /** Called when the connection has shown its purpose, or has ended. */
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

export class Connections {
  readonly #open = new Set<Socket>();
  /** Connections that end by themselves, however long that takes. */
  readonly #ending = new Set<string>();
  readonly #pending = new PendingConnections(defaultPendingLimits);
  readonly #turnedAway: TurnedAwayCounter;

  constructor(turnedAway: TurnedAwayCounter) {
    this.#turnedAway = turnedAway;
  }

  add(socket: Socket): void {
    // A client that has already closed the connection has no address any more.
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

  /** @param socket the connection's own, or the one inside it if it is encrypted */
  settle(socket: Socket): void {
    this.#pending.settle(connectionKey(socket), sourceOf(socket.remoteAddress));
  }

  /** Exempts a connection that ends by itself from being cut with the others. @param socket as for `settle` */
  letEnd(socket: Socket): void {
    this.#ending.add(connectionKey(socket));
  }

  /** Resolves when no connection is open. */
  async allClosed(): Promise<void> {
    await Promise.all(
      [...this.#open].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))),
    );
  }

  /** Resolves as `closed` does; after `timeoutMs`, cuts open connections that do not end by themselves. */
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

const mappedPrefix = '::ffff:';
/** Headers with which a relay names the client of a proxied request, and proves that it may do so. */
const clientHeader = 'x-lockstep-client';
const relayTokenHeader = 'x-lockstep-relay-token';
/** Maximum length of a client's address together with those of the relays in front of it. */
const maxClientLength = 256;

/** An IPv4 address, or the first 64 bits of an IPv6 address, which belong to one subscriber. */
export function sourceOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return 'unknown';
  const address = remoteAddress.replace(/%.*$/, '').toLowerCase();
  if (address.startsWith(mappedPrefix) && address.includes('.')) return address.slice(mappedPrefix.length);
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - first.length - last.length }, () => '0');
  return `${[...first, ...zeros, ...last].slice(0, 4).join(':')}::/64`;
}

/** The parts of an `IncomingMessage` that identify its client. */
export interface ClientRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * The client that a request counts for: its address, and behind a relay also that of the relay's client. So one client
 * of a relay uses up nothing of the relay's own, or of its other clients.
 * @param token for joining, which a relay knows; a short one proves nothing, since it can be guessed here
 */
export function clientOf({ headers, socket }: ClientRequest, token: string | undefined): string {
  const source = sourceOf(socket.remoteAddress);
  const { [clientHeader]: client, [relayTokenHeader]: shown } = headers;
  if (typeof client !== 'string' || typeof shown !== 'string' || token === undefined || !isLong(token)) return source;
  return sameSecret(token, shown) ? `${source} ${client}`.slice(0, maxClientLength) : source;
}

/**
 * Headers with which a relay proxies a request.
 * @param token accepted by the coordinator; without one there are no headers
 */
export function relayHeaders(client: string, token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { [clientHeader]: client, [relayTokenHeader]: token };
}

/** Headers that only a relay may add. */
export const relayHeaderNames = [clientHeader, relayTokenHeader];
