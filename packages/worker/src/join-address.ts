/** The address of a run, split so that its secrets are never printed. */
import { configurationError, named } from './configuration-error.ts';

export interface JoinAddress {
  /** Without secrets. */
  readonly url: string;
  readonly token: string | undefined;
  /** SHA-256 of the only certificate to trust. */
  readonly fingerprint: string | undefined;
}

interface Given {
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/** What is given comes before what the address has. @throws ConfigurationError where it is no address of a WebSocket */
export function joinAddress(address: string, given: Given): JoinAddress {
  if (typeof address !== 'string' || !/^wss?:\/\/[^/]/.test(address) || !URL.canParse(address)) {
    throw configurationError`${named('url')}: expected an address like ws://127.0.0.1:7070, got ${String(address)}`;
  }
  const url = new URL(address);
  const token = given.token ?? url.searchParams.get('token') ?? undefined;
  const fingerprint = given.fingerprint ?? url.searchParams.get('fingerprint') ?? undefined;
  url.searchParams.delete('token');
  url.searchParams.delete('fingerprint');
  return { url: url.href, token, fingerprint: url.protocol === 'wss:' ? fingerprint : undefined };
}
