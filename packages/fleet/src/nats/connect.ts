/** Connects to the first of a fleet's NATS servers that admits this process. */
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { FleetError } from '../fleet-error.ts';
import { authenticatorOf } from './credentials.ts';
import type { Nats } from './load.ts';
import type { Servers } from './servers.ts';

export interface Access {
  /** The text of a .creds file, an nkey seed, or `user:password`. */
  readonly credentials?: string | undefined;
  /** PEM text of the authority that signed the servers' certificates; requires TLS if present. */
  readonly ca?: string | undefined;
  readonly role: 'coordinator' | 'worker';
}

const connectTimeoutMs = 5_000;

/**
 * Tries the servers one after another, starting at a random one. Separate attempts give each server its own reason for
 * failing.
 * @throws FleetError if no server admits this process
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
    // Each role has its own inboxes: permissions can then keep roles from reading each other's answers.
    inboxPrefix: `_INBOX.${role}`,
    timeout: connectTimeoutMs,
    maxReconnectAttempts: -1,
    ...(tls || ca !== undefined ? { tls: ca === undefined ? {} : { ca } } : {}),
    ...(authenticator ? { authenticator } : (login ?? {})),
  };
}

/**
 * Checks the certificate against the dialed address. If a server is known by its IP address, the client gives TLS no
 * name, and TLS then expects a certificate for localhost.
 */
function identityOf({ tls }: ConnectionOptions): Partial<ConnectionOptions> {
  if (!tls) return {};
  let dialed = '';
  return {
    reconnectToServer([next]) {
      // A cluster announces its other servers by address; their certificates must have the name of the announcing
      // server.
      dialed = next ? next.tlsName || next.hostname : '';
      return null;
    },
    tls: {
      ...tls,
      ...{ checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(dialed, certificate) },
    },
  };
}

/** Whether retrying cannot help: wrong credentials, or an untrusted certificate. */
function isFinal({ transport }: Nats, error: Error & { readonly code?: string }): boolean {
  const { AuthorizationError, InvalidArgumentError } = transport.errors;
  if (error instanceof AuthorizationError || error instanceof InvalidArgumentError) return true;
  return /CERT|TLS|SSL|SIGNED|SIGNATURE/.test(error.code ?? '');
}

/** The client's own message, with its cause if the message lacks it. */
export function phraseOf(error: Error): string {
  const { cause } = error;
  const isNews = cause instanceof Error && !error.message.includes(cause.message);
  const reason = isNews ? `${error.message}: ${cause.message}` : error.message;
  return reason.replace(/\n[\s\S]*/, '') || error.name;
}
