/** Who takes part: greeting, probing, coming back under an old identity, and leaving. */
import { type MessageOf, protocolVersion } from '@lockstep/protocol';
import { release } from './assign.ts';
import { count, type Draft, notice, updateConnection, updateRecord } from './draft.ts';
import { boundedRate } from './rates.ts';
import type { Connection, WorkerRecord } from './state.ts';

/** Answers a `hello` with a welcome and a probe, or refuses it with a sentence for the person behind it. */
export function greet(draft: Draft, connection: Connection, hello: MessageOf<'hello'>): void {
  const refusal = refusalOf(draft, hello);
  if (refusal) {
    draft.effects.push({ type: 'send', connection: connection.connection, message: refusal });
    depart(draft, connection, refusal.sentence, 1008);
    return;
  }
  const record = returning(draft, hello) ?? newcomer(draft, connection, hello);
  const { id: workerId, resumeKey } = record;
  const { plan, sampleBytes } = draft.setup;
  const keepsSamples = sampleBytes !== undefined && (hello.keepsBytes ?? 0) >= plan.samples * sampleBytes;
  updateConnection(draft, connection.connection, { phase: 'probing', workerId, keepsSamples });
  draft.effects.push({
    type: 'send',
    connection: connection.connection,
    message: {
      type: 'welcome',
      id: workerId,
      resumeKey,
      model: draft.setup.model,
      leafSize: plan.leafSize,
      ...(draft.setup.seed === undefined ? {} : { seed: draft.setup.seed }),
      ...(draft.setup.gradients === undefined ? {} : { gradients: draft.setup.gradients }),
      ...(keepsSamples ? { samples: plan.samples } : {}),
      heartbeatMs: draft.setup.limits.heartbeatMs,
      maxFrameBytes: draft.setup.limits.maxFrameBytes,
    },
  });
  draft.effects.push({ type: 'sendProbe', connection: connection.connection });
}

function refusalOf(draft: Draft, hello: MessageOf<'hello'>): MessageOf<'refuse'> | undefined {
  const { token, limits } = draft.setup;
  if (hello.protocol !== protocolVersion) {
    const sentence = `this coordinator speaks protocol version ${protocolVersion}, the worker speaks ${hello.protocol}: run the same release of Lockstep on both sides`;
    return { type: 'refuse', code: 'protocol', sentence };
  }
  if (token !== undefined && !sameSecret(token, hello.token ?? '')) {
    const sentence =
      'the token is not the one in the join address: copy the whole address that the coordinator printed';
    return { type: 'refuse', code: 'token', sentence };
  }
  // The place that a returning worker holds by its half-open connection is its own.
  const returningId = recordOf(draft, hello)?.id;
  const members = [...draft.connections.values()].filter(
    ({ phase, workerId }) => phase !== 'greeting' && workerId !== returningId,
  );
  if (members.length >= limits.maxWorkers) {
    const sentence = `the room is full: ${limits.maxWorkers} workers have joined`;
    return { type: 'refuse', code: 'full', sentence, retryAfterMs: limits.resumeMs };
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
    if (other.workerId === record.id) depart(draft, other, 'it came back on another connection', 1000);
  }
  const { name, kind, backend, arithmetic, threads } = hello;
  updateRecord(draft, record.id, { name, kind, backend, arithmetic, threads, leftAtMs: undefined });
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
    if (record.leftAtMs === undefined || record.blocks > 0) continue;
    if (record.probeHash === undefined || !mayReturn(draft, record)) draft.records.delete(record.id);
  }
}

function newcomer(draft: Draft, connection: Connection, hello: MessageOf<'hello'>): WorkerRecord {
  const { name, kind, backend, arithmetic, threads } = hello;
  draft.joined += 1;
  const id = `w${draft.joined}`;
  const work = { blocks: 0, samples: 0, computeMs: 0, readyMs: 0 };
  const record = { id, resumeKey: connection.resumeKey, name, kind, backend, arithmetic, threads, ...work };
  draft.records.set(id, record);
  return record;
}

/** A worker whose probe was right takes part from the next block that is given out. */
export function admit(draft: Draft, connection: Connection, hash: string, samplesPerMs: number): void {
  const workerId = connection.workerId ?? '';
  const returned = draft.records.get(workerId)?.probeHash !== undefined;
  updateConnection(draft, connection.connection, {
    phase: 'ready',
    readyAtMs: draft.nowMs,
    samplesPerMs: boundedRate(samplesPerMs),
  });
  updateRecord(draft, workerId, { probeHash: hash, leftAtMs: undefined });
  notice(draft, { type: 'joined', workerId, returned });
}

/** Ends a connection: its blocks have no owner from now on. `closeCode` is undefined where the socket is gone already. */
export function depart(draft: Draft, connection: Connection, sentence: string, closeCode: number | undefined): void {
  draft.connections.delete(connection.connection);
  if (closeCode !== undefined) {
    draft.effects.push({ type: 'close', connection: connection.connection, code: closeCode, reason: sentence });
  }
  const record = draft.records.get(connection.workerId ?? '');
  if (!record) return;
  const readyMs = connection.phase === 'ready' ? draft.nowMs - connection.readyAtMs : 0;
  updateRecord(draft, record.id, { leftAtMs: draft.nowMs, readyMs: record.readyMs + readyMs });
  const running = draft.phase === 'training' || draft.phase === 'paused';
  if (!running || connection.phase !== 'ready') return;
  count(draft, 'disconnects');
  orphan(draft, connection);
  notice(draft, { type: 'left', workerId: record.id, sentence });
}

/** Takes every block from a connection and counts those that somebody else must compute. */
export function orphan(draft: Draft, connection: Connection): void {
  let orphans = release(draft.current, connection.connection);
  if (draft.next) orphans += release(draft.next, connection.connection);
  draft.faults = { ...draft.faults, reassigned: draft.faults.reassigned + orphans };
}
