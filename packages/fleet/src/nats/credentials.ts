/** How a process proves to NATS who it is: by what stands in a file of credentials. */
import type { Authenticator } from '@nats-io/transport-node';
import { FleetError } from '../fleet-error.ts';
import type { Nats } from './load.ts';

/**
 * @param text of a .creds file, an nkey seed, or `user:password`
 * @throws FleetError where it is none of these
 */
export function authenticatorOf({ transport }: Nats, text: string): Authenticator {
  const bytes = new TextEncoder().encode(text);
  if (text.includes('BEGIN NATS USER JWT')) return transport.credsAuthenticator(bytes);
  const seed = /^SU[A-Z2-7]{56}$/m.exec(text)?.[0];
  if (seed !== undefined) return transport.nkeyAuthenticator(new TextEncoder().encode(seed));
  const [, user, pass] = /^([^:\s]+):(\S+)\s*$/.exec(text) ?? [];
  if (user !== undefined && pass !== undefined) return transport.usernamePasswordAuthenticator(user, pass);
  // What it has instead may be a secret of something else.
  throw new FleetError(
    'expected a .creds file, an nkey seed, or user:password, got something else',
    'fleet-credentials',
  );
}
