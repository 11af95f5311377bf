/** The client that a connection counts for. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIPv6 } from 'node:net';
import { sameSecret } from '@lockstep/protocol';
import { isLong } from './guesses.ts';

const mappedPrefix = '::ffff:';
/** With these, a relay says for whom it passes a request on, and shows that it may say so. */
const clientHeader = 'x-lockstep-client';
const relayTokenHeader = 'x-lockstep-relay-token';
/** Addresses of a client, and of relays that follow one another. */
const maxClientLength = 256;

/** An IPv4 address, or the first 64 bits of an IPv6 address, which one subscriber has to itself. */
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

/** A request, as of `IncomingMessage`. */
export interface ClientRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * The client that a request counts for: its address, and behind a relay that of the relay's client as well. So one client of
 * a relay uses up nothing of the relay's own, or of its other clients.
 * @param token what joining needs, which a relay knows; a short one proves nothing, since it can be guessed here
 */
export function clientOf({ headers, socket }: ClientRequest, token: string | undefined): string {
  const source = sourceOf(socket.remoteAddress);
  const { [clientHeader]: client, [relayTokenHeader]: shown } = headers;
  if (typeof client !== 'string' || typeof shown !== 'string' || token === undefined || !isLong(token)) return source;
  return sameSecret(token, shown) ? `${source} ${client}`.slice(0, maxClientLength) : source;
}

/** Headers with which a relay passes on a request. @param token what its coordinator takes; none without one */
export function relayHeaders(client: string, token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { [clientHeader]: client, [relayTokenHeader]: token };
}

/** Headers that only a relay may add. */
export const relayHeaderNames = [clientHeader, relayTokenHeader];
