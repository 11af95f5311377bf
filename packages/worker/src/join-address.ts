/** Splits a run's address from its secrets, so that they are never printed. */
import { configurationError, named } from '@lockstep/command/options';

export interface JoinAddress {
  /** Address without secrets. */
  readonly url: string;
  readonly token: string | undefined;
  /** SHA-256 of the only certificate to trust. */
  readonly fingerprint: string | undefined;
}

interface Given {
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/**
 * Splits the address of a socket or a page. A page's address has the token in its fragment:
 * `http://HOST:PORT/#join&token=…`. Secrets in `given` take precedence over the address.
 * @throws ConfigurationError if the address is neither
 */
export function joinAddress(address: string, given: Given): JoinAddress {
  if (typeof address !== 'string' || !/^(ws|http)s?:\/\/[^/]/.test(address) || !URL.canParse(address)) {
    throw configurationError`${named('url')}: expected an address like ws://127.0.0.1:7070, got ${String(address)}`;
  }
  const url = new URL(address.replace(/^http/, 'ws'));
  const fragment = new URLSearchParams(url.hash.slice(1));
  const secret = (name: string): string | undefined => url.searchParams.get(name) ?? fragment.get(name) ?? undefined;
  const token = given.token ?? secret('token');
  const fingerprint = given.fingerprint ?? secret('fingerprint');
  url.searchParams.delete('token');
  url.searchParams.delete('fingerprint');
  url.hash = '';
  return { url: url.href, token, fingerprint: url.protocol === 'wss:' ? fingerprint : undefined };
}
