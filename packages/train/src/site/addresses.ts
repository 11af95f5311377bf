/** The addresses of a coordinator, in forms that keep secrets off the wire. */
import { hostname, networkInterfaces } from 'node:os';

/** Addresses to join, watch and control a run. */
export interface Addresses {
  /** For terminals, without the token, which a worker reads from its environment. */
  readonly worker: string;
  /** For tabs; secrets are in the fragment, which browsers do not send. */
  readonly page: string;
  /** Like `page`, with the admin token: for the person who controls the run. */
  readonly owner: string;
  /** For this machine's own workers; no secrets. */
  readonly local: string;
  /** Addresses to join at, without secrets. */
  readonly open: readonly string[];
}

interface Secrets {
  readonly token: string | undefined;
  readonly adminToken: string;
  readonly tls: { readonly fingerprint?: string | undefined } | undefined;
}

/** @param path prefix of the addresses' paths, such as `/lockstep` */
export function addressesOf({ token, adminToken, tls }: Secrets, host: string, port: number, path = ''): Addresses {
  const s = tls === undefined ? '' : 's';
  const at = (name: string): string => `${name.includes(':') ? `[${name}]` : name}:${port}`;
  const others = isAnyAddress(host) ? (networkAddresses()[0] ?? hostname()) : host;
  const query = new URLSearchParams(tls?.fingerprint === undefined ? {} : { fingerprint: tls.fingerprint });
  const secret = token === undefined ? '' : `&token=${encodeURIComponent(token)}`;
  const site = `http${s}://${at(others)}${path}/`;
  const socket = `ws${s}://${at(others)}${path}`;
  return {
    worker: query.size === 0 ? socket : `${socket}/?${query}`,
    page: `${site}#join${secret}`,
    owner: `${site}#admin=${adminToken}${secret}`,
    local: `ws${s}://${at(isAnyAddress(host) ? '127.0.0.1' : host)}${path}`,
    open: [site, socket],
  };
}

/** Removes the brackets that an IPv6 address may have, as in a URL. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

export function isLoopback(host: string): boolean {
  const bare = bareHost(host);
  return bare === 'localhost' || bare === '::1' || bare.startsWith('127.');
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** This machine's IPv4 addresses on its networks. */
export function networkAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}
