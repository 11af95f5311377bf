/** Opens a fleet whose store is NATS, with a key-value bucket and an object store. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { KV } from '@nats-io/kv';
import type { ObjectStore } from '@nats-io/obj';
import type { Authenticator, ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { Fleet } from './fleet.ts';
import { FleetError, type FleetStore, type KeyValues, type Objects, RevisionConflict } from './store.ts';

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
    throw new FleetError('expected addresses like nats://127.0.0.1:4222, separated by commas');
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

/** The NATS client, which only processes of a fleet need. */
interface Nats {
  readonly transport: typeof import('@nats-io/transport-node');
  readonly jetstream: typeof import('@nats-io/jetstream');
  readonly kv: typeof import('@nats-io/kv');
  readonly obj: typeof import('@nats-io/obj');
}

async function loadNats(): Promise<Nats> {
  try {
    const [transport, jetstream, kv, obj] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
      import('@nats-io/kv'),
      import('@nats-io/obj'),
    ]);
    return { transport, jetstream, kv, obj };
  } catch (error) {
    const [got] = (error as Error).message.split('\n');
    const packages = '@nats-io/transport-node, @nats-io/jetstream, @nats-io/kv and @nats-io/obj';
    throw new FleetError(`a fleet needs the packages ${packages}: install them next to Lockstep (${got})`);
  }
}

/** Addresses of a fleet's servers. Secrets are kept apart, so that they are never printed. */
interface Servers {
  /** Addresses, each as `host:port`. */
  readonly list: readonly string[];
  /** Whether any address asks for TLS. */
  readonly tls: boolean;
  readonly login: { readonly user: string; readonly pass: string } | undefined;
  /** The addresses as given, without secrets. */
  readonly place: string;
}

const defaultPort = 4222;

/**
 * @param text such as `nats://user:password@a.example:4222,nats://b.example`, or with tls:// for servers with TLS
 * @returns undefined if the text is anything else
 */
export function parseServers(text: string): Servers | undefined {
  const parts = text.split(',');
  if (!parts.every((part) => /^(nats|tls):\/\/[^/]+\/?$/.test(part) && URL.canParse(part))) return undefined;
  const urls = parts.map((part) => new URL(part));
  if (urls.some(({ hostname }) => hostname === '')) return undefined;
  const login = urls.find(({ username }) => username !== '');
  const list = urls.map(({ hostname, port }) => `${hostname}:${port || defaultPort}`);
  return {
    list,
    tls: urls.some(({ protocol }) => protocol === 'tls:'),
    login: login && { user: decodeURIComponent(login.username), pass: decodeURIComponent(login.password) },
    place: urls.map(({ protocol }, index) => `${protocol}//${list[index]}`).join(','),
  };
}

const connectTimeoutMs = 5_000;

/**
 * Tries the servers one after another, starting at a random one. Separate attempts give each server its own reason for
 * failing.
 * @throws FleetError if no server admits this process
 */
async function connectToAny(nats: Nats, servers: Servers, access: FleetOptions): Promise<NatsConnection> {
  const { list, place } = servers;
  const options = connectionOptions(nats, servers, access);
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

function connectionOptions(nats: Nats, { tls, login }: Servers, { credentials, ca, role }: FleetOptions) {
  return {
    name: 'lockstep',
    // Each role has its own inboxes: permissions can then keep roles from reading each other's answers.
    inboxPrefix: `_INBOX.${role}`,
    timeout: connectTimeoutMs,
    maxReconnectAttempts: -1,
    ...(tls || ca !== undefined ? { tls: ca === undefined ? {} : { ca } } : {}),
    ...(credentials === undefined ? (login ?? {}) : { authenticator: authenticatorOf(nats, credentials) }),
  };
}

/**
 * @param text contents of a .creds file, an nkey seed, or `user:password`
 * @throws FleetError if it is none of these
 */
function authenticatorOf({ transport }: Nats, text: string): Authenticator {
  const bytes = new TextEncoder().encode(text);
  if (text.includes('BEGIN NATS USER JWT')) return transport.credsAuthenticator(bytes);
  const seed = /^SU[A-Z2-7]{56}$/m.exec(text)?.[0];
  if (seed !== undefined) return transport.nkeyAuthenticator(new TextEncoder().encode(seed));
  const [, user, pass] = /^([^:\s]+):(\S+)\s*$/.exec(text) ?? [];
  if (user !== undefined && pass !== undefined) return transport.usernamePasswordAuthenticator(user, pass);
  // Do not show the text: it may be another secret.
  const message = 'expected a .creds file, an nkey seed, or user:password';
  throw new FleetError(message, 'fleet-credentials');
}

/**
 * Checks the certificate against the dialed address. If a server is known by its IP address, the client gives TLS no
 * name, and TLS then expects a certificate for localhost.
 */
function identityOf({ tls }: ConnectionOptions): Partial<ConnectionOptions> {
  if (!tls) return {};
  let dialed = '';
  const checkIdentity = {
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(dialed, certificate),
  };
  return {
    reconnectToServer([next]) {
      // A cluster announces its other servers by address; their certificates must have the name of the announcing
      // server.
      dialed = next ? next.tlsName || next.hostname : '';
      return null;
    },
    tls: { ...tls, ...checkIdentity },
  };
}

/** Whether retrying cannot help: wrong credentials, or an untrusted certificate. */
function isFinal({ transport }: Nats, error: Error & { readonly code?: string }): boolean {
  const { AuthorizationError, InvalidArgumentError } = transport.errors;
  if (error instanceof AuthorizationError || error instanceof InvalidArgumentError) return true;
  return /CERT|TLS|SSL|SIGNED|SIGNATURE/.test(error.code ?? '');
}

/** The client's own message, with its cause if the message lacks it. */
function phraseOf(error: Error): string {
  const { cause } = error;
  const isNews = cause instanceof Error && !error.message.includes(cause.message);
  const reason = isNews ? `${error.message}: ${cause.message}` : error.message;
  return reason.replace(/\n[\s\S]*/, '') || error.name;
}

const bucket = 'lockstep';
const clusterReplicas = 3;
const requestTimeoutMs = 2_000;

async function storeOf(
  nats: Nats,
  connection: NatsConnection,
  place: string,
  { role, run = 'default' }: FleetOptions,
): Promise<FleetStore> {
  const close = (): Promise<void> => connection.close();
  if (role === 'worker') {
    const values = readings(nats, connection);
    // A worker waits for records that do not exist yet, but a missing permission is final.
    await values.get(`${run}.address`).catch((error: Error) => {
      if (isPermissionViolation(nats, error)) throw error;
    });
    const objects = { put: refuse, get: refuse, remove: refuse };
    return { values, objects, place, close };
  }
  const client = nats.jetstream.jetstream(connection, { timeout: requestTimeoutMs });
  const values = new nats.kv.Kvm(client);
  const objects = new nats.obj.Objm(client);
  const replicas = connection.info?.cluster === undefined ? 1 : clusterReplicas;
  const createBuckets = async (): Promise<void> => {
    await objects.create(bucket, { replicas });
    await values.create(bucket, { replicas });
  };
  await onceReady(nats, connection, createBuckets);
  // Read from the leader only: a replica also answers without a leader, so a follower would see a lease that its holder
  // cannot renew.
  const kv = await values.open(bucket, { allow_direct: false });
  return {
    values: valuesIn(nats, kv, createBuckets),
    objects: objectsIn(await objects.open(bucket, false)),
    place,
    close,
  };
}

/** Servers of a cluster tell each other every ten seconds what they can hold; until then a bucket has too few peers. */
const readyWithinMs = 60_000;
const retryEveryMs = 250;

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

/** @param createBuckets creates the buckets that are missing */
function valuesIn({ jetstream, transport }: Nats, kv: KV, createBuckets: () => Promise<void>): KeyValues {
  const { StreamWrongLastSequence, StreamWrongLastSequenceUnknown } = jetstream.JetStreamApiCodes;
  const conflicts: readonly number[] = [StreamWrongLastSequence, StreamWrongLastSequenceUnknown];
  const guarded = (key: string, writing: Promise<number>): Promise<number> =>
    writing.catch((error: unknown) => {
      const isConflict = error instanceof jetstream.JetStreamApiError && conflicts.includes(error.code);
      throw isConflict ? new RevisionConflict(`${key} has another revision`) : error;
    });
  const update = async (key: string, value: string, revision: number): Promise<number> => {
    try {
      return await kv.update(key, value, revision);
    } catch (error) {
      if (!hasNoAnswer(transport, (error as Error).cause)) throw error;
      // Nobody answers for a bucket that is gone. The leader updates its lease, so it also is the first to create it.
      await createBuckets();
      return kv.create(key, value);
    }
  };
  return {
    async get(key) {
      const entry = await kv.get(key).catch(withoutRecords(transport));
      return entry?.operation === 'PUT' ? { value: entry.string(), revision: entry.revision } : undefined;
    },
    put: (key, value) => kv.put(key, value),
    create: (key, value) => guarded(key, kv.create(key, value)),
    update: (key, value, revision) => guarded(key, update(key, value, revision)),
  };
}

const refuse = (name: string): Promise<never> => Promise.reject(new Error(`${name}: a worker may only read values`));

/** Subjects that permissions let workers subscribe to. */
const workerInboxes = '_INBOX.worker';
const notFound = 404;

/**
 * Read-only values for workers. Workers share their credentials and so their inboxes: one could make NATS answer
 * another's request, if it knew the inbox. The client numbers its requests, so each inbox can be guessed from the last.
 * Here each request has a random inbox that nobody sees before its answer.
 */
function readings({ transport }: Nats, connection: NatsConnection): KeyValues {
  return {
    async get(key) {
      const subject = `$KV.${bucket}.${key}`;
      const options = { timeout: requestTimeoutMs, noMux: true, reply: `${workerInboxes}.${randomUUID()}` };
      const answer = await connection
        .request(`$JS.API.DIRECT.GET.KV_${bucket}.${subject}`, undefined, options)
        .catch(withoutRecords(transport));
      const { headers } = answer;
      if (headers?.code === notFound) return undefined;
      if (headers?.get('Nats-Subject') !== subject) {
        throw new Error(headers?.description || 'its answer is of another key');
      }
      if (headers.has('KV-Operation')) return undefined;
      return { value: answer.string(), revision: Number(headers.get('Nats-Sequence')) };
    },
    put: refuse,
    create: refuse,
    update: refuse,
  };
}

function hasNoAnswer({ errors }: Nats['transport'], error: unknown): boolean {
  return error instanceof errors.RequestError && error.isNoResponders();
}

/** Names the usual reason why nobody answers a request. */
function withoutRecords(transport: Nats['transport']): (error: unknown) => never {
  return (error) => {
    throw hasNoAnswer(transport, error) ? new Error('its servers have no records or are electing a leader') : error;
  };
}

/** Time-out of reading or writing an object. Without it the client would wait forever for a lost server. */
const objectTimeoutMs = 30_000;

function objectsIn(store: ObjectStore): Objects {
  return {
    put: (name, bytes) => within(store.putBlob({ name }, bytes)).then(() => {}),
    get: async (name) => (await within(store.getBlob(name))) ?? undefined,
    remove: (name) => within(store.delete(name)).then(() => {}),
  };
}

async function within<Value>(work: Promise<Value>): Promise<Value> {
  const timer = new AbortController();
  const late = delay(objectTimeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`no answer within ${objectTimeoutMs / 1000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => {});
    timer.abort();
  }
}
