/** Authenticates a process to NATS with the contents of a credentials file. */
import type { Authenticator } from '@nats-io/transport-node';
import { FleetError } from '../fleet-error.ts';
import type { Nats } from './load.ts';

/**
 * @param text contents of a .creds file, an nkey seed, or `user:password`
 * @throws FleetError if it is none of these
 */
export function authenticatorOf({ transport }: Nats, text: string): Authenticator {
  const bytes = new TextEncoder().encode(text);
  if (text.includes('BEGIN NATS USER JWT')) return transport.credsAuthenticator(bytes);
  const seed = /^SU[A-Z2-7]{56}$/m.exec(text)?.[0];
  if (seed !== undefined) return transport.nkeyAuthenticator(new TextEncoder().encode(seed));
  const [, user, pass] = /^([^:\s]+):(\S+)\s*$/.exec(text) ?? [];
  if (user !== undefined && pass !== undefined) return transport.usernamePasswordAuthenticator(user, pass);
  // Do not show the text: it may be another secret.
  throw new FleetError(
    'expected a .creds file, an nkey seed, or user:password, got something else',
    'fleet-credentials',
  );
}
