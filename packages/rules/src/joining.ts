/** How workers join a run and leave it. */
import { plural } from '@lockstep/data/shown';
import { type MessageOf, protocolVersion, sameSecret } from '@lockstep/protocol';
import { unassign } from './assignments.ts';
import type { CheckedMessage, CoordinatorEvent } from './events.ts';
import { countFault, emit, hasEnded, type RunState, send, updateConnection, updateRecord } from './run-state.ts';
import type { RunSetup } from './setup.ts';
import type { Connection, ConnectionId, WorkerRecord } from './state.ts';
import { boundedRate, closedForMs, estimateLink, originOf, recordFailure } from './track-record.ts';

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
function admit(run: RunState, connection: Connection, hello: Hello, record: WorkerRecord | undefined): void {
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

export function refuse(run: RunState, connection: Connection, refusal: MessageOf<'refuse'>): void {
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
    sampleField: format.sampleField,
    targetField: format.targetField,
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
      hello.token === undefined ? 'this run requires a token' : 'the token is not the one in the join address';
    return { type: 'refuse', code: 'token', message: `${fault}: copy the whole address that the coordinator printed` };
  }
  return undefined;
}

function refusalOf(run: RunState, connection: Connection, hello: Hello): MessageOf<'refuse'> | undefined {
  const fault = helloFault(hello, run.setup.token);
  if (fault) return fault;
  const record = recordOf(run, hello);
  const pause = record && pauseOf(run, record);
  if (pause) return pause;
  // A worker without a wrong result comes back, whoever else shares its address.
  return record && record.kind !== 'relay' ? undefined : closureOf(run, connection);
}

/** How long a worker stays away after its first invalid message. Each further one doubles it. */
const firstPauseMs = 500;

/** Returns a refusal, for a time, of a worker that has sent invalid messages: each costs the run a reassigned shard. */
function pauseOf(run: RunState, { invalid = 0, leftAtMs }: WorkerRecord): MessageOf<'refuse'> | undefined {
  if (invalid === 0 || leftAtMs === undefined) return undefined;
  // Its record is forgotten after `resumeMs`.
  const pauseMs = Math.min(run.setup.limits.resumeMs, firstPauseMs * 2 ** (invalid - 1));
  const retryAfterMs = Math.ceil(leftAtMs + pauseMs - run.nowMs);
  if (retryAfterMs <= 0) return undefined;
  const message = `this worker has sent ${invalid} invalid ${invalid === 1 ? 'message' : 'messages'}, so it has to wait ${Math.ceil(retryAfterMs / 1_000)} s`;
  return { type: 'refuse', code: 'busy', message, retryAfterMs };
}

/** Returns a refusal, for a time, of a worker from whose address too many wrong results came. */
export function closureOf(run: RunState, connection: Connection): MessageOf<'refuse'> | undefined {
  const retryAfterMs = closedForMs(run, connection);
  if (retryAfterMs === 0) return undefined;
  const message = `workers at this address sent wrong results, so this one has to wait ${Math.ceil(retryAfterMs / 1_000)} s`;
  return { type: 'refuse', code: 'numerics', message, retryAfterMs };
}

function fullnessOf(run: RunState, { address }: Connection): MessageOf<'refuse'> | undefined {
  const { maxWorkers, maxWorkersPerAddress, resumeMs: retryAfterMs } = run.setup.limits;
  const members = [...run.connections.values()].filter(({ phase }) => phase !== 'handshake');
  if (members.length >= maxWorkers) {
    const message = `the coordinator is full: no more than ${plural(maxWorkers, 'worker')} may join`;
    return { type: 'refuse', code: 'full', message, retryAfterMs };
  }
  // Workers of this process have no address.
  const neighbors = address === '' ? [] : members.filter((member) => member.address === address);
  if (neighbors.length >= maxWorkersPerAddress) {
    const message = `the coordinator is full: no more than ${plural(maxWorkersPerAddress, 'worker')} from one address may join`;
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
function recordOf(run: RunState, { resumeKey }: Hello): WorkerRecord | undefined {
  if (resumeKey === undefined) return undefined;
  const record = [...run.records.values()].find((candidate) => candidate.resumeKey === resumeKey);
  return record && record.quarantined === undefined && mayReturn(run, record) ? record : undefined;
}

function newRecord(run: RunState, { resumeKey, address }: Connection, hello: Hello): WorkerRecord {
  run.joined += 1;
  const id = `w${run.joined}`;
  const work = { shards: 0, samples: 0, computeMs: 0, readyMs: 0 };
  const origin = originOf(run, address);
  const record = { id, resumeKey, ...identityOf(hello), ...work, ...(origin !== undefined && { origin }) };
  run.records.set(id, record);
  return record;
}

function identityOf({ name, kind, backend, numericMode, threads, vectorBits }: Hello) {
  return { name, kind, backend, numericMode, threads, ...(vectorBits !== undefined && { vectorBits }) };
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
    return `${expected}, the mode that this worker claims, got different bits: try another --backend`;
  }
  if (isRelay) {
    return `${expected}, the mode of this relay, got different bits: join the coordinator directly`;
  }
  // With nodes rounded to fp16, two modes differ by whole fp16 units, so that a lie looks the same as rounding.
  if (plan.halfUnit !== undefined) {
    return `${expected}, as a run with fp16-exact gradients requires, got those of ${numericMode}: compute on the CPU (--backend cpu)`;
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
  if (holder) disconnect(run, holder, 'it reconnected on another connection', 1000);
  const record = recordOf(run, hello);
  const isTaken = [...run.connections.values()].some(({ workerId }) => workerId === record?.id);
  admit(run, connection, hello, isTaken ? undefined : record);
}

/** Ends a connection and takes its shards away. `closeCode` is undefined if the socket is closed already. */
export function disconnect(
  run: RunState,
  connection: Connection,
  message: string,
  closeCode: number | undefined,
): void {
  run.connections.delete(connection.connection);
  if (closeCode !== undefined) {
    run.commands.push({ type: 'close', connection: connection.connection, code: closeCode, reason: message });
  }
  const record = run.records.get(connection.workerId ?? '');
  if (!record) return;
  updateRecord(run, record.id, { leftAtMs: run.nowMs });
  if (connection.phase === 'ready') addReadyTime(run, connection);
  if (!connection.hasBeenReady) return;
  if (run.phase !== 'training' && run.phase !== 'paused') return;
  countFault(run, 'disconnects');
  unassignAll(run, connection);
  emit(run, { type: 'left', workerId: record.id, message });
}

/** Ends a connection that sent something invalid; the run goes on without it. */
export function reject(run: RunState, connection: Connection, message: string, closeCode: number): void {
  countFault(run, 'rejected');
  recordFailure(run, connection);
  emit(run, { type: 'rejected', workerId: connection.workerId, message });
  const record = run.records.get(connection.workerId ?? '');
  if (record) updateRecord(run, record.id, { invalid: (record.invalid ?? 0) + 1 });
  disconnect(run, connection, message, closeCode);
}

/** Ends a connection whose message is not allowed in its phase. */
export function protocolViolation(run: RunState, connection: Connection, what: string): void {
  reject(run, connection, `protocol: ${what}`, 1002);
}

/** Takes every shard from a connection, and counts those that another worker must compute. */
export function unassignAll(run: RunState, { connection }: Connection): void {
  let unowned = unassign(run.current, connection);
  if (run.next) unowned += unassign(run.next, connection);
  countFault(run, 'reassigned', unowned);
}

/** Adds the time since a worker became ready to its record, when it stops being ready. */
export function addReadyTime(run: RunState, { workerId, readyAtMs }: Connection): void {
  const record = run.records.get(workerId ?? '');
  if (record) updateRecord(run, record.id, { readyMs: record.readyMs + run.nowMs - readyAtMs });
}

/** Returns whether a worker that has left may still return under its old identity. */
function mayReturn(run: RunState, { leftAtMs }: WorkerRecord): boolean {
  return leftAtMs === undefined || run.nowMs - leftAtMs <= run.setup.limits.resumeMs;
}

/** Interval between searches of the records: a long run may have too many to search at every tick. */
const lookEveryMs = 1_000;

/**
 * Forgets workers that left without computing anything: soon if they never passed the numerics check, otherwise when
 * they can no longer return. Clients that only connect and leave must not fill the memory.
 */
export function forgetIdleRecords(run: RunState): void {
  if (run.nowMs - run.lookedAtMs < lookEveryMs) return;
  run.lookedAtMs = run.nowMs;
  for (const record of [...run.records.values()]) {
    // A report names every liar, also those none of whose results count.
    if (record.leftAtMs === undefined || record.shards > 0 || record.quarantined !== undefined) continue;
    if (record.numericsHash === undefined || !mayReturn(run, record)) run.records.delete(record.id);
  }
}

/** Ends a run after its last step. */
export function finishRun(run: RunState): void {
  run.phase = 'finished';
  run.endedAtMs = run.nowMs;
  closeAll(run, 'the run has finished');
  run.commands.push({ type: 'finished' });
}

interface EndOptions {
  /** By default the setup's. */
  readonly anotherMayFollow?: boolean | undefined;
  readonly hasDiverged?: true;
}

/** Stops a run before its last step. */
export function endRun(run: RunState, message: string, { anotherMayFollow, hasDiverged }: EndOptions = {}): void {
  if (hasEnded(run)) return;
  run.phase = 'failed';
  run.endedAtMs = run.nowMs;
  closeAll(run, message, anotherMayFollow);
  run.commands.push({ type: 'failed', message, ...(hasDiverged && { hasDiverged }) });
}

/** Answers a connection that was opened after the end of the run. */
export function closeLateArrival(run: RunState, connection: ConnectionId): void {
  const message = 'the run has ended';
  send(run, connection, finishOf(run, message));
  run.commands.push({ type: 'close', connection, code: 1000, reason: message });
}

function finishOf(
  { setup }: RunState,
  message: string,
  anotherMayFollow = setup.anotherMayFollow,
): MessageOf<'finish'> {
  return { type: 'finish', message, ...(anotherMayFollow === true && { anotherMayFollow }) };
}

function closeAll(run: RunState, message: string, anotherMayFollow?: boolean): void {
  for (const connection of [...run.connections.values()]) {
    send(run, connection.connection, finishOf(run, message, anotherMayFollow));
    disconnect(run, connection, message, 1000);
  }
}

type EventOf<Type> = Extract<CoordinatorEvent, { type: Type }>;

function connectionsOf(run: RunState, workerId: string): Connection[] {
  return [...run.connections.values()].filter((connection) => connection.workerId === workerId);
}

/** Renames a worker; the name stays if the worker returns under its identity. */
export function rename(run: RunState, { workerId, name }: EventOf<'rename'>): void {
  const record = run.records.get(workerId);
  if (!record || record.name === name) return;
  emit(run, { type: 'renamed', workerId, before: record.name });
  updateRecord(run, workerId, { name, renamed: true });
}

/** Removes a worker by a refusal, so that it does not reconnect by itself. */
export function remove(run: RunState, { workerId }: EventOf<'remove'>): void {
  if (hasEnded(run)) return;
  for (const connection of connectionsOf(run, workerId)) {
    const message = 'the owner of this run removed this worker';
    send(run, connection.connection, { type: 'refuse', code: 'removed', message });
    const isAnnounced = connection.hasBeenReady && run.phase !== 'waiting';
    disconnect(run, connection, message, 1008);
    // `disconnect` does not announce that a worker has left if it has not taken part yet.
    if (!isAnnounced) emit(run, { type: 'left', workerId, message });
  }
}

/** Tells a worker to fail on purpose, if the run was set up for fault injection. */
export function injectFault(run: RunState, event: EventOf<'injectFault'>): void {
  if (run.setup.faultInjection !== true || hasEnded(run)) return;
  const { workerId, action, forMs } = event;
  for (const { connection } of connectionsOf(run, workerId)) {
    send(run, connection, { type: 'injectFault', action, forMs });
    emit(run, { type: 'injectFault', workerId, action });
  }
}
