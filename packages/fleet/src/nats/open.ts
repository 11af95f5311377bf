/** Opens a fleet by the addresses of its NATS servers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { Fleet } from '../fleet.ts';
import { FleetError } from '../fleet-error.ts';
import type { FleetStore } from '../store.ts';
import { authenticatorOf } from './credentials.ts';
import { loadNats, type Nats } from './load.ts';
import { natsObjects } from './objects.ts';
import { parseServers, type Servers } from './servers.ts';
import { natsValues } from './values.ts';

/** Where a fleet is, and how to be let in. */
export interface FleetOptions {
  /** Such as `nats://a.example:4222,nats://b.example:4222`, with `tls://` for servers with TLS. */
  readonly servers: string;
  /** The name of the run; by default `default`. */
  readonly run?: string | undefined;
  /** The text of a .creds file, an nkey seed, or `user:password`. */
  readonly credentials?: string | undefined;
  /** PEM text of the authority that has signed the servers' certificates; TLS is then required. */
  readonly ca?: string | undefined;
  /** A coordinator creates what the fleet is kept in, and leads; a worker only reads. */
  readonly role: 'coordinator' | 'worker';
}

const bucket = 'lockstep';
const connectTimeoutMs = 5_000;
const requestTimeoutMs = 2_000;
const clusterReplicas = 3;
const readyWithinMs = 15_000;
const retryEveryMs = 250;

/**
 * Opens a run of the fleet at these NATS servers, which need JetStream.
 * @throws FleetError with one sentence where the servers cannot be reached, or refuse
 */
export async function openFleet({ run = 'default', ...options }: FleetOptions): Promise<Fleet> {
  if (!/^[\w-]{1,64}$/.test(run)) throw new FleetError(`expected 1 to 64 letters, digits, - and _, got ${run}`, 'run');
  return new Fleet(await openStore(options), run);
}

/** @throws FleetError */
export async function openStore(options: Omit<FleetOptions, 'run'>): Promise<FleetStore> {
  const servers = parseServers(options.servers);
  if (!servers) {
    throw new FleetError('expected addresses like nats://127.0.0.1:4222, with commas between them, got something else');
  }
  const nats = await loadNats();
  const connection = await connect(nats, servers, options);
  try {
    return await storeOf(nats, connection, { place: servers.place, role: options.role });
  } catch (error) {
    await connection.close();
    throw new FleetError(`the fleet at ${servers.place} cannot be used: ${phraseOf(error as Error)}`);
  }
}

async function connect(
  nats: Nats,
  { list, tls, login, place }: Servers,
  { credentials, ca, role }: Omit<FleetOptions, 'run'>,
) {
  const authenticator = credentials === undefined ? undefined : authenticatorOf(nats, credentials);
  try {
    return await nats.transport.connect({
      servers: [...list],
      name: 'lockstep',
      // Of each role: where permissions say so, none reads the answers of another.
      inboxPrefix: `_INBOX.${role}`,
      timeout: connectTimeoutMs,
      maxReconnectAttempts: -1,
      ...(tls || ca !== undefined ? { tls: ca === undefined ? {} : { ca } } : {}),
      ...(authenticator ? { authenticator } : (login ?? {})),
    });
  } catch (error) {
    throw new FleetError(`the fleet at ${place} cannot be reached: ${phraseOf(error as Error)}`);
  }
}

async function storeOf(
  nats: Nats,
  connection: NatsConnection,
  { place, role }: Pick<FleetOptions, 'role'> & { readonly place: string },
): Promise<FleetStore> {
  const client = nats.jetstream.jetstream(connection, { timeout: requestTimeoutMs });
  const values = new nats.kv.Kvm(client);
  const objects = new nats.obj.Objm(client);
  const replicas = connection.info?.cluster === undefined ? 1 : clusterReplicas;
  if (role === 'coordinator') {
    await onceReady(connection, async () => {
      await values.create(bucket, { replicas });
      await objects.create(bucket, { replicas });
    });
  }
  // A replica answers also while none leads: a follower would see a lease that its holder cannot renew. So coordinators ask the leader.
  const kv = await values.open(bucket, { allow_direct: role === 'worker' });
  const store = await objects.open(bucket, false);
  return {
    values: natsValues(nats, kv),
    objects: natsObjects(store),
    place,
    close: () => connection.close(),
  };
}

/** Servers of a cluster that have just started may not know each other yet, or elect a leader; a busy one may be late. */
async function onceReady({ info }: NatsConnection, open: () => Promise<void>): Promise<void> {
  const untilMs = performance.now() + readyWithinMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const mayPass = info?.cluster !== undefined || (error as Error).name === 'TimeoutError';
      if (!mayPass || performance.now() >= untilMs) throw error;
      await delay(retryEveryMs);
    }
  }
}

/** The client's own words, with what they are about. */
function phraseOf(error: Error): string {
  const reason = error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
  return reason.replace(/\n[\s\S]*/, '') || error.name;
}
