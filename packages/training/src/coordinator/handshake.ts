/** How a worker joins: its `hello`, the numerics check, and its return under an old identity. */
import { type MessageOf, protocolVersion, sameSecret } from '@lockstep/protocol';
import { disconnect, mayReturn } from './disconnect.ts';
import { type Draft, emit, send, updateConnection, updateRecord } from './draft.ts';
import type { CheckedMessage } from './events.ts';
import { estimateLink } from './links.ts';
import { isRefused, recordFailure } from './reputation.ts';
import { boundedRate } from './speed.ts';
import type { Connection, RunSetup, WorkerRecord } from './state.ts';

type Hello = MessageOf<'hello'>;

/** Answers a `hello` with a welcome and a numerics check, or refuses it with a message for the person behind it. */
export function handshake(draft: Draft, connection: Connection, hello: Hello): void {
  const refusal = refusalOf(draft, connection, hello);
  if (refusal) {
    refuse(draft, connection, refusal);
    return;
  }
  const record = recordOf(draft, hello);
  const rival = record && [...draft.connections.values()].find(({ workerId }) => workerId === record.id);
  if (record && rival) claim(draft, connection, hello, rival);
  else admit(draft, connection, hello, record);
}

/** Takes a worker in: under its old identity where `record` is given, else under a new one. */
export function admit(draft: Draft, connection: Connection, hello: Hello, record: WorkerRecord | undefined): void {
  const { connection: id } = connection;
  const fullness = fullnessOf(draft, connection);
  if (fullness) {
    refuse(draft, connection, fullness);
    return;
  }
  const member = record ? returningRecord(draft, hello, record) : newRecord(draft, connection, hello);
  const { plan, sampleBytes } = draft.setup;
  const cachesSamples = sampleBytes !== undefined && (hello.sampleCacheBytes ?? 0) >= plan.samples * sampleBytes;
  updateConnection(draft, id, {
    phase: 'checking',
    phaseAtMs: draft.nowMs,
    transferCreditMs: 0,
    workerId: member.id,
    claim: undefined,
    cachesSamples,
  });
  send(draft, id, welcomeOf(draft, member, cachesSamples));
  draft.effects.push({ type: 'sendNumericsCheck', connection: id });
}

function refuse(draft: Draft, connection: Connection, refusal: MessageOf<'refuse'>): void {
  send(draft, connection.connection, refusal);
  disconnect(draft, connection, refusal.message, 1008);
}

/** A key may be stolen: whether the identity is free shows when the connection that has it answers a ping, or does not. */
function claim(draft: Draft, { connection }: Connection, hello: Hello, { connection: rival }: Connection): void {
  updateConnection(draft, connection, { claim: { hello, rival, sinceMs: draft.nowMs } });
  send(draft, rival, { type: 'ping', sentAtMs: draft.nowMs });
}

function welcomeOf(
  { setup }: Draft,
  { id, resumeKey, kind }: WorkerRecord,
  cachesSamples: boolean,
): MessageOf<'welcome'> {
  const { plan, model, format, seed, limits, addresses } = setup;
  return {
    type: 'welcome',
    id,
    resumeKey,
    model,
    microbatchSize: plan.microbatchSize,
    ...(plan.innerSteps && { innerSteps: plan.innerSteps }),
    sampleType: format.sampleType,
    sampleShape: format.sampleShape,
    targetType: format.targetType,
    ...(seed === undefined ? {} : { seed }),
    ...(plan.halfUnit === undefined ? {} : { halfUnit: plan.halfUnit }),
    ...(cachesSamples ? { cachedSamples: plan.samples } : {}),
    heartbeatMs: limits.heartbeatMs,
    maxFrameBytes: limits.maxFrameBytes,
    chunkBytes: limits.chunkBytes,
    ...(kind === 'relay' && { run: geometryOf(setup) }),
    ...(addresses && addresses.length > 0 ? { addresses: [...addresses] } : {}),
  };
}

function geometryOf({ plan, verifyRate, participation }: RunSetup): NonNullable<MessageOf<'welcome'>['run']> {
  const { samples, batch, steps } = plan;
  return {
    ...{ samples, batch, steps },
    ...(verifyRate === undefined ? {} : { verifyRate }),
    ...(participation === undefined ? {} : { participation }),
  };
}

/** Why a worker may join no run here: it is of another release, or does not know the token. */
export function helloFault(hello: Hello, token: string | undefined): MessageOf<'refuse'> | undefined {
  if (hello.protocol !== protocolVersion) {
    const message = `this coordinator speaks protocol version ${protocolVersion}, the worker speaks ${hello.protocol}: run the same release of Lockstep on both sides`;
    return { type: 'refuse', code: 'protocol', message };
  }
  if (token !== undefined && !sameSecret(token, hello.token ?? '')) {
    const fault =
      hello.token === undefined
        ? 'this run needs a token, and none was given'
        : 'the token is not the one in the join address';
    return { type: 'refuse', code: 'token', message: `${fault}: copy the whole address that the coordinator printed` };
  }
  return undefined;
}

function refusalOf(draft: Draft, connection: Connection, hello: Hello): MessageOf<'refuse'> | undefined {
  const fault = helloFault(hello, draft.setup.token);
  if (fault) return fault;
  if (isRefused(draft, connection)) {
    const message = 'workers at this address have sent wrong results: this coordinator takes no more from it';
    return { type: 'refuse', code: 'numerics', message };
  }
  return undefined;
}

function fullnessOf(draft: Draft, { address }: Connection): MessageOf<'refuse'> | undefined {
  const { maxWorkers, maxWorkersPerAddress, resumeMs: retryAfterMs } = draft.setup.limits;
  const members = [...draft.connections.values()].filter(({ phase }) => phase !== 'handshake');
  if (members.length >= maxWorkers) {
    const message = `the coordinator is full: ${maxWorkers} workers have joined`;
    return { type: 'refuse', code: 'full', message, retryAfterMs };
  }
  // Workers of this very process share no address.
  const neighbors = address === '' ? [] : members.filter((member) => member.address === address);
  if (neighbors.length >= maxWorkersPerAddress) {
    const message = `the coordinator is full: ${maxWorkersPerAddress} workers have joined from this address`;
    return { type: 'refuse', code: 'full', message, retryAfterMs };
  }
  return undefined;
}

function returningRecord(draft: Draft, hello: Hello, { id }: WorkerRecord): WorkerRecord {
  const { name, renamed = false } = draft.records.get(id)!;
  updateRecord(draft, id, { ...identityOf(hello), ...(renamed && { name }), leftAtMs: undefined });
  return draft.records.get(id)!;
}

/** The record that a `hello` may claim by its key. */
export function recordOf(draft: Draft, { resumeKey }: Hello): WorkerRecord | undefined {
  if (resumeKey === undefined) return undefined;
  const record = [...draft.records.values()].find((candidate) => candidate.resumeKey === resumeKey);
  return record && record.quarantined === undefined && mayReturn(draft, record) ? record : undefined;
}

function newRecord(draft: Draft, { resumeKey }: Connection, hello: Hello): WorkerRecord {
  draft.joined += 1;
  const id = `w${draft.joined}`;
  const record = { id, resumeKey, ...identityOf(hello), shards: 0, samples: 0, computeMs: 0, readyMs: 0 };
  draft.records.set(id, record);
  return record;
}

function identityOf({ name, kind, backend, numericMode, threads }: Hello) {
  return { name, kind, backend, numericMode, threads };
}

/**
 * A worker that passed the numerics check takes part from the next assignment on; not one that names the coordinator's
 * own numeric mode, which promises its bits, and gave others.
 */
export function activate(
  draft: Draft,
  connection: Connection,
  { hash: numericsHash, samplesPerMs, computeMs = 0 }: Extract<CheckedMessage, { type: 'numericsResult' }>,
): void {
  const workerId = connection.workerId ?? '';
  const record = draft.records.get(workerId);
  const fault = numericModeFault(draft, record?.numericMode, numericsHash);
  if (fault !== undefined) {
    if (record?.numericMode === draft.setup.refereeMode) recordFailure(draft, connection);
    refuse(draft, connection, { type: 'refuse', code: 'numerics', message: `numerics check: ${fault}` });
    return;
  }
  const returned = record?.numericsHash !== undefined;
  updateConnection(draft, connection.connection, {
    phase: 'ready',
    readyAtMs: draft.nowMs,
    hasBeenReady: true,
    samplesPerMs: boundedRate(samplesPerMs),
  });
  // Weights went one way and a gradient came back, as in a step; the worker computed twice, to warm up first.
  estimateLink(draft, connection, draft.nowMs - connection.phaseAtMs - 2 * computeMs);
  updateRecord(draft, workerId, { numericsHash, leftAtMs: undefined });
  emit(draft, { type: 'joined', workerId, returned });
}

/** Why a worker with these bits may not compute here. */
function numericModeFault({ setup }: Draft, numericMode: string | undefined, hash: string): string | undefined {
  const { refereeMode, refereeHash, isRelay, plan } = setup;
  if (hash === refereeHash) return undefined;
  const expected = `expected the bits of ${refereeMode}`;
  if (numericMode === refereeMode) {
    return `${expected}, which this worker says that it computes in, got others: try another --backend`;
  }
  if (isRelay) {
    return `${expected}, in which this relay computes, got others: join the coordinator behind it, by its own address`;
  }
  // Two modes whose nodes are rounded differ by whole halves, among which a lie cannot be told from rounding.
  if (plan.halfUnit !== undefined) {
    return `${expected}, as all workers of a run with gradients as fp16-exact have, got those of ${numericMode}: compute on the CPU (--backend cpu)`;
  }
  return undefined;
}
