/** Opens a fleet from the addresses of its NATS servers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { Fleet } from '../fleet.ts';
import { FleetError } from '../fleet-error.ts';
import type { FleetStore, Objects } from '../store.ts';
import { connectToAny, phraseOf } from './connect.ts';
import { loadNats, type Nats } from './load.ts';
import { natsObjects } from './objects.ts';
import { parseServers } from './servers.ts';
import { natsReadings, natsValues, requestTimeoutMs } from './values.ts';

/** Address of a fleet, and credentials for it. */
export interface FleetOptions {
  /** Addresses such as `nats://a.example:4222,nats://b.example:4222`, with `tls://` for servers with TLS. */
  readonly servers: string;
  /** The name of the run; by default `default`. */
  readonly run?: string | undefined;
  /** The text of a .creds file, an nkey seed, or `user:password`. */
  readonly credentials?: string | undefined;
  /** PEM text of the authority that signed the servers' certificates; requires TLS if present. */
  readonly ca?: string | undefined;
  /** A coordinator creates the fleet's buckets and leads; a worker only reads. */
  readonly role: 'coordinator' | 'worker';
}

const bucket = 'lockstep';
const clusterReplicas = 3;
const readyWithinMs = 15_000;
const retryEveryMs = 250;

/**
 * Opens a run of the fleet at these NATS servers, which need JetStream.
 * @throws FleetError with one sentence if the servers are unreachable or refuse
 */
export async function openFleet({ run = 'default', ...options }: FleetOptions): Promise<Fleet> {
  if (!/^[\w-]{1,64}$/.test(run)) throw new FleetError(`expected 1 to 64 letters, digits, - and _, got ${run}`, 'run');
  return new Fleet(await openStore({ ...options, run }), run);
}

/** @throws FleetError */
export async function openStore(options: FleetOptions): Promise<FleetStore> {
  const servers = parseServers(options.servers);
  if (!servers) {
    throw new FleetError('expected addresses like nats://127.0.0.1:4222, with commas between them, got something else');
  }
  const nats = await loadNats();
  const connection = await connectToAny(nats, servers, options);
  try {
    return await storeOf(nats, connection, servers.place, options);
  } catch (thrown) {
    await connection.close();
    const error = thrown as Error;
    if (!isPermissionViolation(nats, error)) {
      throw new FleetError(`the fleet at ${servers.place} cannot be used: ${phraseOf(error)}`, 'fleet', true);
    }
    const { role } = options;
    const reason = `expected credentials of a ${role}, got those of another role`;
    throw new FleetError(
      `the fleet at ${servers.place} refuses this ${role}: ${reason} (${error.message})`,
      'fleet-credentials',
    );
  }
}

async function storeOf(
  nats: Nats,
  connection: NatsConnection,
  place: string,
  { role, run = 'default' }: FleetOptions,
): Promise<FleetStore> {
  const close = (): Promise<void> => connection.close();
  if (role === 'worker') {
    const values = natsReadings(nats, connection, bucket);
    // A worker waits for records that do not exist yet, but a missing permission is final.
    await values.get(`${run}.address`).catch((error: Error) => {
      if (isPermissionViolation(nats, error)) throw error;
    });
    return { values, objects: noObjects, place, close };
  }
  const client = nats.jetstream.jetstream(connection, { timeout: requestTimeoutMs });
  const values = new nats.kv.Kvm(client);
  const objects = new nats.obj.Objm(client);
  const replicas = connection.info?.cluster === undefined ? 1 : clusterReplicas;
  await onceReady(nats, connection, async () => {
    await values.create(bucket, { replicas });
    await objects.create(bucket, { replicas });
  });
  // Read from the leader only: a replica also answers without a leader, so a follower would see a lease that its holder
  // cannot renew.
  const kv = await values.open(bucket, { allow_direct: false });
  return { values: natsValues(nats, kv), objects: natsObjects(await objects.open(bucket, false)), place, close };
}

const refuseObject = (name: string): Promise<never> => Promise.reject(new Error(`${name}: a worker has no objects`));
const noObjects: Objects = { put: refuseObject, get: refuseObject, remove: refuseObject };

/** Retries while a cluster that has just started connects and elects a leader, and if a busy server times out. */
async function onceReady(nats: Nats, { info }: NatsConnection, open: () => Promise<void>): Promise<void> {
  const untilMs = performance.now() + readyWithinMs;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const mayPass = info?.cluster !== undefined || (error as Error).name === 'TimeoutError';
      if (!mayPass || isPermissionViolation(nats, error as Error) || performance.now() >= untilMs) throw error;
      await delay(retryEveryMs);
    }
  }
}

/** Whether an error is a permission violation, which the client sometimes wraps in another error. */
function isPermissionViolation({ transport }: Nats, error: Error): boolean {
  const { PermissionViolationError } = transport.errors;
  return error instanceof PermissionViolationError || error.cause instanceof PermissionViolationError;
}
