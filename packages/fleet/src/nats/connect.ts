/** Connects to the first of a fleet's NATS servers that lets this process in. */
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { FleetError } from '../fleet-error.ts';
import { authenticatorOf } from './credentials.ts';
import type { Nats } from './load.ts';
import type { Servers } from './servers.ts';

export interface Access {
  /** The text of a .creds file, an nkey seed, or `user:password`. */
  readonly credentials?: string | undefined;
  /** PEM text of the authority that has signed the servers' certificates; TLS is then required. */
  readonly ca?: string | undefined;
  readonly role: 'coordinator' | 'worker';
}

const connectTimeoutMs = 5_000;

/**
 * Tries the servers one after another, from one drawn at random, so that each can be given its own reason.
 * @throws FleetError if none lets this process in
 */
export async function connectToAny(nats: Nats, servers: Servers, access: Access): Promise<NatsConnection> {
  const { list, place } = servers;
  const options = optionsOf(nats, servers, access);
  const failures = new Map<string, Error>();
  const first = Math.floor(Math.random() * list.length);
  for (const server of [...list.slice(first), ...list.slice(0, first)]) {
    try {
      const connection = await nats.transport.connect({ ...options, ...identityOf(options), servers: [server] });
      const gossiped = connection.getServers().map(({ listen }) => listen);
      connection.setServers([...new Set([...list, ...gossiped])]);
      return connection;
    } catch (error) {
      failures.set(server, error as Error);
    }
  }
  const reasons = list.map((server) => phraseOf(failures.get(server)!));
  const isSame = new Set(reasons).size === 1;
  const reason = isSame ? reasons[0] : list.map((server, at) => `${server}: ${reasons[at]}`).join('; ');
  const isRefused = [...failures.values()].every((error) => isFinal(nats, error));
  throw new FleetError(`the fleet at ${place} cannot be reached: ${reason}`, 'fleet', !isRefused);
}

function optionsOf(nats: Nats, { tls, login }: Servers, { credentials, ca, role }: Access): ConnectionOptions {
  const authenticator = credentials === undefined ? undefined : authenticatorOf(nats, credentials);
  return {
    name: 'lockstep',
    // Each role has inboxes of its own: if permissions say so, no role reads the answers of another.
    inboxPrefix: `_INBOX.${role}`,
    timeout: connectTimeoutMs,
    maxReconnectAttempts: -1,
    ...(tls || ca !== undefined ? { tls: ca === undefined ? {} : { ca } } : {}),
    ...(authenticator ? { authenticator } : (login ?? {})),
  };
}

/**
 * The client tells TLS no name for a server that is known by its IP address, and TLS then expects a certificate for
 * localhost. So the certificate is compared with the address that is being dialed.
 */
function identityOf({ tls }: ConnectionOptions): Partial<ConnectionOptions> {
  if (!tls) return {};
  let dialed = '';
  return {
    reconnectToServer([next]) {
      // Other servers of a cluster are told of by their addresses; they must have the name of the one that told of them.
      dialed = next ? next.tlsName || next.hostname : '';
      return null;
    },
    tls: {
      ...tls,
      ...{ checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(dialed, certificate) },
    },
  };
}

/** Whether trying again later cannot help: wrong credentials, or a certificate that is not trusted. */
function isFinal({ transport }: Nats, error: Error & { readonly code?: string }): boolean {
  const { AuthorizationError, InvalidArgumentError } = transport.errors;
  if (error instanceof AuthorizationError || error instanceof InvalidArgumentError) return true;
  return /CERT|TLS|SSL|SIGNED|SIGNATURE/.test(error.code ?? '');
}

/** The client's own words, with what they are about. */
export function phraseOf(error: Error): string {
  const { cause } = error;
  const isNews = cause instanceof Error && !error.message.includes(cause.message);
  const reason = isNews ? `${error.message}: ${cause.message}` : error.message;
  return reason.replace(/\n[\s\S]*/, '') || error.name;
}
