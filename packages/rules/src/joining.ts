/** Joining: a worker's `hello`, the numerics check, and its return under an old identity. */

import { type MessageOf, protocolVersion, sameSecret } from '@lockstep/protocol';
import type { CheckedMessage } from './events.ts';
import { disconnect, mayReturn } from './leaving.ts';
import type { RunSetup } from './run-setup.ts';
import { emit, type RunState, send, updateConnection, updateRecord } from './run-state.ts';
import type { Connection, WorkerRecord } from './state.ts';
import { boundedRate, estimateLink, isRefused, recordFailure } from './track-record.ts';

type Hello = MessageOf<'hello'>;

/** Answers a `hello` with a welcome and a numerics check, or with a refusal whose message a person can read. */
export function handshake(run: RunState, connection: Connection, hello: Hello): void {
  const refusal = refusalOf(run, connection, hello);
  if (refusal) {
    refuse(run, connection, refusal);
    return;
  }
  const record = recordOf(run, hello);
  const rival = record && [...run.connections.values()].find(({ workerId }) => workerId === record.id);
  if (record && rival) claim(run, connection, hello, rival);
  else admit(run, connection, hello, record);
}

/** Admits a worker, under its old identity if `record` is given, otherwise under a new one. */
export function admit(run: RunState, connection: Connection, hello: Hello, record: WorkerRecord | undefined): void {
  const { connection: id } = connection;
  const fullness = fullnessOf(run, connection);
  if (fullness) {
    refuse(run, connection, fullness);
    return;
  }
  const member = record ? returningRecord(run, hello, record) : newRecord(run, connection, hello);
  const { plan, sampleBytes } = run.setup;
  const cachesSamples = sampleBytes !== undefined && (hello.sampleCacheBytes ?? 0) >= plan.samples * sampleBytes;
  updateConnection(run, id, {
    phase: 'checking',
    phaseAtMs: run.nowMs,
    transferCreditMs: 0,
    workerId: member.id,
    claim: undefined,
    cachesSamples,
  });
  send(run, id, welcomeOf(run, member, cachesSamples));
  run.commands.push({ type: 'sendNumericsCheck', connection: id });
}

function refuse(run: RunState, connection: Connection, refusal: MessageOf<'refuse'>): void {
  send(run, connection.connection, refusal);
  disconnect(run, connection, refusal.message, 1008);
}

/** Claims a connected worker's identity. The key may be stolen, so that worker is pinged, and stays if it answers. */
function claim(run: RunState, { connection }: Connection, hello: Hello, { connection: rival }: Connection): void {
  updateConnection(run, connection, { claim: { hello, rival, sinceMs: run.nowMs } });
  send(run, rival, { type: 'ping', sentAtMs: run.nowMs });
}

function welcomeOf(
  { setup }: RunState,
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

/** Returns a refusal for a worker of another release, or one that does not know the token. */
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

function refusalOf(run: RunState, connection: Connection, hello: Hello): MessageOf<'refuse'> | undefined {
  const fault = helloFault(hello, run.setup.token);
  if (fault) return fault;
  if (isRefused(run, connection)) {
    const message = 'workers at this address have sent wrong results: this coordinator takes no more from it';
    return { type: 'refuse', code: 'numerics', message };
  }
  return undefined;
}

function fullnessOf(run: RunState, { address }: Connection): MessageOf<'refuse'> | undefined {
  const { maxWorkers, maxWorkersPerAddress, resumeMs: retryAfterMs } = run.setup.limits;
  const members = [...run.connections.values()].filter(({ phase }) => phase !== 'handshake');
  if (members.length >= maxWorkers) {
    const message = `the coordinator is full: ${maxWorkers} workers have joined`;
    return { type: 'refuse', code: 'full', message, retryAfterMs };
  }
  // Workers of this process have no address.
  const neighbors = address === '' ? [] : members.filter((member) => member.address === address);
  if (neighbors.length >= maxWorkersPerAddress) {
    const message = `the coordinator is full: ${maxWorkersPerAddress} workers have joined from this address`;
    return { type: 'refuse', code: 'full', message, retryAfterMs };
  }
  return undefined;
}

function returningRecord(run: RunState, hello: Hello, { id }: WorkerRecord): WorkerRecord {
  const { name, renamed = false } = run.records.get(id)!;
  updateRecord(run, id, { ...identityOf(hello), ...(renamed && { name }), leftAtMs: undefined });
  return run.records.get(id)!;
}

/** Returns the record that a `hello` may claim by its key. */
export function recordOf(run: RunState, { resumeKey }: Hello): WorkerRecord | undefined {
  if (resumeKey === undefined) return undefined;
  const record = [...run.records.values()].find((candidate) => candidate.resumeKey === resumeKey);
  return record && record.quarantined === undefined && mayReturn(run, record) ? record : undefined;
}

function newRecord(run: RunState, { resumeKey }: Connection, hello: Hello): WorkerRecord {
  run.joined += 1;
  const id = `w${run.joined}`;
  const record = { id, resumeKey, ...identityOf(hello), shards: 0, samples: 0, computeMs: 0, readyMs: 0 };
  run.records.set(id, record);
  return record;
}

function identityOf({ name, kind, backend, numericMode, threads }: Hello) {
  return { name, kind, backend, numericMode, threads };
}

/**
 * Makes a worker that passed the numerics check ready for assignments. Refuses a worker that claims the coordinator's
 * numeric mode, which promises equal bits, but answered with other bits.
 */
export function activate(
  run: RunState,
  connection: Connection,
  { hash: numericsHash, samplesPerMs, computeMs = 0 }: Extract<CheckedMessage, { type: 'numericsResult' }>,
): void {
  const workerId = connection.workerId ?? '';
  const record = run.records.get(workerId);
  const fault = numericModeFault(run, record?.numericMode, numericsHash);
  if (fault !== undefined) {
    if (record?.numericMode === run.setup.refereeMode) recordFailure(run, connection);
    refuse(run, connection, { type: 'refuse', code: 'numerics', message: `numerics check: ${fault}` });
    return;
  }
  const returned = record?.numericsHash !== undefined;
  updateConnection(run, connection.connection, {
    phase: 'ready',
    readyAtMs: run.nowMs,
    hasBeenReady: true,
    samplesPerMs: boundedRate(samplesPerMs),
  });
  // As in a step, weights went out and a gradient came back. The worker computed twice: the first time was a warm-up.
  estimateLink(run, connection, run.nowMs - connection.phaseAtMs - 2 * computeMs);
  updateRecord(run, workerId, { numericsHash, leftAtMs: undefined });
  emit(run, { type: 'joined', workerId, returned });
}

/** Returns why a worker with these bits may not compute in this run; undefined if it may. */
function numericModeFault({ setup }: RunState, numericMode: string | undefined, hash: string): string | undefined {
  const { refereeMode, refereeHash, isRelay, plan } = setup;
  if (hash === refereeHash) return undefined;
  const expected = `expected the bits of ${refereeMode}`;
  if (numericMode === refereeMode) {
    return `${expected}, which this worker says that it computes in, got others: try another --backend`;
  }
  if (isRelay) {
    return `${expected}, in which this relay computes, got others: join the coordinator behind it, by its own address`;
  }
  // With nodes rounded to fp16, two modes differ by whole fp16 units, so that a lie looks the same as rounding.
  if (plan.halfUnit !== undefined) {
    return `${expected}, as all workers of a run with gradients as fp16-exact have, got those of ${numericMode}: compute on the CPU (--backend cpu)`;
  }
  return undefined;
}

/**
 * Decides claims to the identity of a connected worker, at every tick. The worker was pinged when the claim was made;
 * it keeps the identity if it has sent anything since, and otherwise loses it after a heartbeat interval.
 */
export function settleClaims(run: RunState): void {
  for (const connection of [...run.connections.values()]) {
    if (connection.claim) settle(run, connection, connection.claim);
  }
}

function settle(
  run: RunState,
  connection: Connection,
  { hello, rival, sinceMs }: NonNullable<Connection['claim']>,
): void {
  const holder = run.connections.get(rival);
  if (holder && holder.lastReceivedAtMs > sinceMs) {
    // Like any client, this one may join under a new identity.
    admit(run, connection, hello, undefined);
    return;
  }
  if (holder && run.nowMs - sinceMs < run.setup.limits.heartbeatMs) return;
  if (holder) disconnect(run, holder, 'it came back on another connection', 1000);
  const record = recordOf(run, hello);
  const isTaken = [...run.connections.values()].some(({ workerId }) => workerId === record?.id);
  admit(run, connection, hello, isTaken ? undefined : record);
}
