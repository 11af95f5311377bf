/**
 * Which pages may open sockets here, and under which names this machine may be called.
 *
 * A browser lets any page open a WebSocket to any address; only the `Origin` header names the page. Comparing `Origin`
 * with `Host` is not enough: a page can make its own name point to this machine (DNS rebinding). So `Host` must be an
 * address, or a name that this machine is known by.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';

export interface OriginOptions {
  /** As given: the address that is listened on. */
  readonly host: string;
  readonly secure: boolean;
  /** Origins such as `https://page.example`, whose pages may join besides our own. */
  readonly allowed: readonly string[];
}

/** Undefined where the request may go on. */
export type OriginCheck = (
  request: Pick<IncomingMessage, 'headers'>,
) => { readonly status: 403 | 421; readonly message: string } | undefined;

export function createOriginCheck({ host, secure, allowed }: OriginOptions): OriginCheck {
  const machine = hostname().toLowerCase();
  const names = new Set(['localhost', machine, `${machine}.local`, host.toLowerCase()]);
  for (const origin of allowed) names.add(new URL(origin).hostname);
  const scheme = secure ? 'https' : 'http';

  return ({ headers }) => {
    const own = originOf(`${scheme}://${headers.host ?? ''}`);
    if (own === undefined || !isKnown(own.hostname, names)) {
      const message =
        'the name in the address is not one of this machine: open it by its address, or name it with --host';
      return { status: 421, message };
    }
    // Only browsers send it, and a page cannot leave it out.
    if (headers.origin === undefined) return undefined;
    const page = originOf(headers.origin)?.origin;
    if (page !== undefined && (page === own.origin || allowed.includes(page))) return undefined;
    const message =
      'this page came from another address than the coordinator: open the address that the coordinator printed, or allow the page with --allow-origin';
    return { status: 403, message };
  };
}

function isKnown(name: string, names: ReadonlySet<string>): boolean {
  const address = name.startsWith('[') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || names.has(name) || name.endsWith('.localhost');
}

function originOf(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
  } catch {
    return undefined;
  }
}
