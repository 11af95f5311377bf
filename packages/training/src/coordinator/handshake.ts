/** How a worker joins: its `hello`, the numerics check, and its return under an old identity. */
import { type MessageOf, protocolVersion, sameSecret } from '@lockstep/protocol';
import { disconnect, mayReturn } from './disconnect.ts';
import { type Draft, emit, send, updateConnection, updateRecord } from './draft.ts';
import type { CheckedMessage } from './events.ts';
import { estimateLink } from './links.ts';
import { boundedRate } from './rates.ts';
import { isRefused } from './reputation.ts';
import type { Connection, WorkerRecord } from './state.ts';

type Hello = MessageOf<'hello'>;

/** Answers a `hello` with a welcome and a numerics check, or refuses it with a message for the person behind it. */
export function handshake(draft: Draft, connection: Connection, hello: Hello): void {
  const { connection: id } = connection;
  const refusal = refusalOf(draft, connection, hello);
  if (refusal) {
    send(draft, id, refusal);
    disconnect(draft, connection, refusal.message, 1008);
    return;
  }
  const record = returningRecord(draft, hello) ?? newRecord(draft, connection, hello);
  const { plan, sampleBytes } = draft.setup;
  const cachesSamples = sampleBytes !== undefined && (hello.sampleCacheBytes ?? 0) >= plan.samples * sampleBytes;
  updateConnection(draft, id, {
    phase: 'checking',
    phaseAtMs: draft.nowMs,
    arrivalCreditMs: 0,
    workerId: record.id,
    cachesSamples,
  });
  send(draft, id, welcomeOf(draft, record, cachesSamples));
  draft.effects.push({ type: 'sendNumericsCheck', connection: id });
}

function welcomeOf({ setup }: Draft, { id, resumeKey }: WorkerRecord, cachesSamples: boolean): MessageOf<'welcome'> {
  const { plan, model, seed, gradients, limits } = setup;
  return {
    type: 'welcome',
    id,
    resumeKey,
    model,
    microbatchSize: plan.microbatchSize,
    ...(seed === undefined ? {} : { seed }),
    ...(gradients === undefined ? {} : { gradients }),
    ...(cachesSamples ? { samples: plan.samples } : {}),
    heartbeatMs: limits.heartbeatMs,
    maxFrameBytes: limits.maxFrameBytes,
  };
}

function refusalOf(draft: Draft, connection: Connection, hello: Hello): MessageOf<'refuse'> | undefined {
  const { token, limits } = draft.setup;
  if (hello.protocol !== protocolVersion) {
    const message = `this coordinator speaks protocol version ${protocolVersion}, the worker speaks ${hello.protocol}: run the same release of Lockstep on both sides`;
    return { type: 'refuse', code: 'protocol', message };
  }
  if (token !== undefined && !sameSecret(token, hello.token ?? '')) {
    const message = 'the token is not the one in the join address: copy the whole address that the coordinator printed';
    return { type: 'refuse', code: 'token', message };
  }
  if (isRefused(draft, connection)) {
    const message = 'workers at this address have sent wrong results: this coordinator takes no more from it';
    return { type: 'refuse', code: 'numerics', message };
  }
  // A returning worker takes the place of its own half-open connection.
  const returningId = recordOf(draft, hello)?.id;
  const members = [...draft.connections.values()].filter(
    ({ phase, workerId }) => phase !== 'handshake' && workerId !== returningId,
  );
  if (members.length >= limits.maxWorkers) {
    const message = `the coordinator is full: ${limits.maxWorkers} workers have joined`;
    return { type: 'refuse', code: 'full', message, retryAfterMs: limits.resumeMs };
  }
  return undefined;
}

/** The record of a worker that comes back in time; closes the half-open connection that it left behind. */
function returningRecord(draft: Draft, hello: Hello): WorkerRecord | undefined {
  const record = recordOf(draft, hello);
  if (!record) return undefined;
  for (const other of [...draft.connections.values()]) {
    if (other.workerId === record.id) disconnect(draft, other, 'it came back on another connection', 1000);
  }
  updateRecord(draft, record.id, { ...identityOf(hello), leftAtMs: undefined });
  return draft.records.get(record.id);
}

/** The record that a `hello` may claim by its key. */
function recordOf(draft: Draft, { resumeKey }: Hello): WorkerRecord | undefined {
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

/** A worker that passed the numerics check takes part from the next assignment on. */
export function activate(
  draft: Draft,
  connection: Connection,
  { hash: numericsHash, samplesPerMs, computeMs = 0 }: Extract<CheckedMessage, { type: 'numericsResult' }>,
): void {
  const workerId = connection.workerId ?? '';
  const returned = draft.records.get(workerId)?.numericsHash !== undefined;
  updateConnection(draft, connection.connection, {
    phase: 'ready',
    readyAtMs: draft.nowMs,
    samplesPerMs: boundedRate(samplesPerMs),
  });
  // Weights went one way and a gradient came back, as in a step; the worker computed twice, to warm up first.
  estimateLink(draft, connection, draft.nowMs - connection.phaseAtMs - 2 * computeMs);
  updateRecord(draft, workerId, { numericsHash, leftAtMs: undefined });
  emit(draft, { type: 'joined', workerId, returned });
}
