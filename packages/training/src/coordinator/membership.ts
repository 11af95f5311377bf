/** Who takes part: greeting, probing, coming back under an old identity, and leaving. */
import { type MessageOf, protocolVersion } from '@lockstep/protocol';
import { unassign } from './assign.ts';
import { count, type Draft, emit, updateConnection, updateRecord } from './draft.ts';
import { boundedRate } from './rates.ts';
import type { Connection, WorkerRecord } from './state.ts';

/** Answers a `hello` with a welcome and a numerics check, or refuses it with a sentence for the person behind it. */
export function handshake(draft: Draft, connection: Connection, hello: MessageOf<'hello'>): void {
  const refusal = refusalOf(draft, hello);
  if (refusal) {
    draft.effects.push({ type: 'send', connection: connection.connection, message: refusal });
    disconnect(draft, connection, refusal.message, 1008);
    return;
  }
  const record = returning(draft, hello) ?? newcomer(draft, connection, hello);
  const { id: workerId, resumeKey } = record;
  const { plan, sampleBytes } = draft.setup;
  const keepsSamples = sampleBytes !== undefined && (hello.keepsBytes ?? 0) >= plan.samples * sampleBytes;
  updateConnection(draft, connection.connection, { phase: 'checking', workerId, keepsSamples });
  draft.effects.push({
    type: 'send',
    connection: connection.connection,
    message: {
      type: 'welcome',
      id: workerId,
      resumeKey,
      model: draft.setup.model,
      microbatchSize: plan.microbatchSize,
      ...(draft.setup.seed === undefined ? {} : { seed: draft.setup.seed }),
      ...(draft.setup.gradients === undefined ? {} : { gradients: draft.setup.gradients }),
      ...(keepsSamples ? { samples: plan.samples } : {}),
      heartbeatMs: draft.setup.limits.heartbeatMs,
      maxFrameBytes: draft.setup.limits.maxFrameBytes,
    },
  });
  draft.effects.push({ type: 'sendNumericsCheck', connection: connection.connection });
}

function refusalOf(draft: Draft, hello: MessageOf<'hello'>): MessageOf<'refuse'> | undefined {
  const { token, limits } = draft.setup;
  if (hello.protocol !== protocolVersion) {
    const message = `this coordinator speaks protocol version ${protocolVersion}, the worker speaks ${hello.protocol}: run the same release of Lockstep on both sides`;
    return { type: 'refuse', code: 'protocol', message };
  }
  if (token !== undefined && !sameSecret(token, hello.token ?? '')) {
    const message = 'the token is not the one in the join address: copy the whole address that the coordinator printed';
    return { type: 'refuse', code: 'token', message };
  }
  // The place that a returning worker holds by its half-open connection is its own.
  const returningId = recordOf(draft, hello)?.id;
  const members = [...draft.connections.values()].filter(
    ({ phase, workerId }) => phase !== 'handshake' && workerId !== returningId,
  );
  if (members.length >= limits.maxWorkers) {
    const message = `the room is full: ${limits.maxWorkers} workers have joined`;
    return { type: 'refuse', code: 'full', message, retryAfterMs: limits.resumeMs };
  }
  return undefined;
}

/** Compares without stopping at the first difference, so that timing does not tell how much of a guess was right. */
function sameSecret(expected: string, got: string): boolean {
  let difference = expected.length ^ got.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= expected.charCodeAt(index) ^ got.charCodeAt(index % Math.max(1, got.length));
  }
  return difference === 0;
}

/** The record of a worker that comes back in time; a half-open connection that it left behind is closed. */
function returning(draft: Draft, hello: MessageOf<'hello'>): WorkerRecord | undefined {
  const record = recordOf(draft, hello);
  if (!record) return undefined;
  for (const other of [...draft.connections.values()]) {
    if (other.workerId === record.id) disconnect(draft, other, 'it came back on another connection', 1000);
  }
  const { name, kind, backend, numericMode, threads } = hello;
  updateRecord(draft, record.id, { name, kind, backend, numericMode, threads, leftAtMs: undefined });
  return draft.records.get(record.id);
}

/** The record that a `hello` may claim by its key. */
function recordOf(draft: Draft, { resumeKey }: MessageOf<'hello'>): WorkerRecord | undefined {
  if (resumeKey === undefined) return undefined;
  const record = [...draft.records.values()].find((candidate) => candidate.resumeKey === resumeKey);
  return record && mayReturn(draft, record) ? record : undefined;
}

function mayReturn(draft: Draft, { leftAtMs }: WorkerRecord): boolean {
  return leftAtMs === undefined || draft.nowMs - leftAtMs <= draft.setup.limits.resumeMs;
}

/**
 * Forgets workers that have gone and left nothing for the report: at once where they were never admitted, otherwise
 * when they can no longer come back. Whoever only comes and goes must not fill the memory.
 */
export function forgetStrangers(draft: Draft): void {
  for (const record of [...draft.records.values()]) {
    if (record.leftAtMs === undefined || record.shards > 0) continue;
    if (record.numericsHash === undefined || !mayReturn(draft, record)) draft.records.delete(record.id);
  }
}

function newcomer(draft: Draft, connection: Connection, hello: MessageOf<'hello'>): WorkerRecord {
  const { name, kind, backend, numericMode, threads } = hello;
  draft.joined += 1;
  const id = `w${draft.joined}`;
  const work = { shards: 0, samples: 0, computeMs: 0, readyMs: 0 };
  const record = { id, resumeKey: connection.resumeKey, name, kind, backend, numericMode, threads, ...work };
  draft.records.set(id, record);
  return record;
}

/** A worker whose probe was right takes part from the next shard that is given out. */
export function activate(draft: Draft, connection: Connection, hash: string, samplesPerMs: number): void {
  const workerId = connection.workerId ?? '';
  const returned = draft.records.get(workerId)?.numericsHash !== undefined;
  updateConnection(draft, connection.connection, {
    phase: 'ready',
    readyAtMs: draft.nowMs,
    samplesPerMs: boundedRate(samplesPerMs),
  });
  updateRecord(draft, workerId, { numericsHash: hash, leftAtMs: undefined });
  emit(draft, { type: 'joined', workerId, returned });
}

/** Ends a connection: its shards have no owner from now on. `closeCode` is undefined where the socket is gone already. */
export function disconnect(draft: Draft, connection: Connection, message: string, closeCode: number | undefined): void {
  draft.connections.delete(connection.connection);
  if (closeCode !== undefined) {
    draft.effects.push({ type: 'close', connection: connection.connection, code: closeCode, reason: message });
  }
  const record = draft.records.get(connection.workerId ?? '');
  if (!record) return;
  const readyMs = connection.phase === 'ready' ? draft.nowMs - connection.readyAtMs : 0;
  updateRecord(draft, record.id, { leftAtMs: draft.nowMs, readyMs: record.readyMs + readyMs });
  const running = draft.phase === 'training' || draft.phase === 'paused';
  if (!running || connection.phase !== 'ready') return;
  count(draft, 'disconnects');
  unassignAll(draft, connection);
  emit(draft, { type: 'left', workerId: record.id, message });
}

/** Takes every shard from a connection and counts those that somebody else must compute. */
export function unassignAll(draft: Draft, connection: Connection): void {
  let orphans = unassign(draft.current, connection.connection);
  if (draft.next) orphans += unassign(draft.next, connection.connection);
  draft.faults = { ...draft.faults, reassigned: draft.faults.reassigned + orphans };
}
