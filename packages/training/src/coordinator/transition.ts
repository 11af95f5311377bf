/**
 * The rules of a run as one pure function: `(state, event) -> (state, effects)`.
 *
 * Every event, a closed socket as much as a result, ends in `advanceRun`, which assigns shards without an owner, takes a
 * step that is complete, and pauses or resumes. No rule waits for an event that may never come.
 */
import { takeAsked, withdrawAsked } from './asked.ts';
import { control } from './control.ts';
import { checkDeadlines } from './deadlines.ts';
import { disconnect, reject } from './disconnect.ts';
import { countFault, type Draft, draftOf, emit, send, stateOf, updateConnection } from './draft.ts';
import { closeLateArrival, endRun, hasEnded } from './ending.ts';
import type { CoordinatorEvent, Effect } from './events.ts';
import { forgetForwarded, forwardWeights } from './forwarded-weights.ts';
import { injectFault, remove, rename } from './manage-worker.ts';
import { handleMessage } from './messages.ts';
import { advanceRun } from './progress.ts';
import type { CoordinatorState } from './state.ts';
import { takeRefereed } from './verification.ts';

export interface Transition {
  readonly state: CoordinatorState;
  /** To be carried out in this order. */
  readonly effects: readonly Effect[];
}

export function transition(state: CoordinatorState, event: CoordinatorEvent): Transition {
  const draft = draftOf(state, event.atMs);
  apply(draft, event);
  advanceRun(draft);
  return { state: stateOf(draft), effects: draft.effects };
}

function apply(draft: Draft, event: CoordinatorEvent): void {
  switch (event.type) {
    case 'opened':
      open(draft, event);
      return;
    case 'message':
    case 'invalid':
    case 'numericsMismatch':
    case 'closed':
      applyToConnection(draft, event);
      return;
    case 'tick':
      checkDeadlines(draft, event.receivedBytes);
      return;
    case 'control':
      control(draft, event.action);
      return;
    case 'asked':
      takeAsked(draft, event);
      return;
    case 'weightsArriving':
      forwardWeights(draft, event.step);
      return;
    case 'weightsBroken':
      forgetForwarded(draft, event.step);
      return;
    case 'askedNoMore':
      withdrawAsked(draft);
      return;
    case 'refereed':
      takeRefereed(draft, event);
      return;
    case 'injectFault':
      injectFault(draft, event);
      return;
    case 'rename':
      rename(draft, event);
      return;
    case 'remove':
      remove(draft, event);
      return;
    case 'stop':
      endRun(draft, event.message, event.anotherMayFollow);
      return;
    default:
      event satisfies never;
  }
}

type ConnectionEvent = Extract<CoordinatorEvent, { type: 'message' | 'invalid' | 'numericsMismatch' | 'closed' }>;

function applyToConnection(draft: Draft, event: ConnectionEvent): void {
  const connection = draft.connections.get(event.connection);
  // An event of a connection that the rules have closed already comes too late to matter.
  if (!connection) return;
  switch (event.type) {
    case 'message':
      updateConnection(draft, event.connection, { lastReceivedAtMs: event.atMs });
      handleMessage(draft, connection, event.message);
      return;
    case 'invalid':
      reject(draft, connection, event.message, event.closeCode);
      return;
    case 'numericsMismatch':
      countFault(draft, 'rejected');
      send(draft, event.connection, { type: 'refuse', code: 'numerics', message: event.message });
      emit(draft, { type: 'rejected', workerId: connection.workerId, message: event.message });
      disconnect(draft, connection, event.message, 1008);
      return;
    case 'closed':
      disconnect(draft, connection, 'its connection closed', undefined);
      return;
    default:
      event satisfies never;
  }
}

function open(
  draft: Draft,
  { connection: id, resumeKey, address = '', isOwn = false }: Extract<CoordinatorEvent, { type: 'opened' }>,
): void {
  if (hasEnded(draft)) {
    closeLateArrival(draft, id);
    return;
  }
  draft.firstOpenedAtMs ??= draft.nowMs;
  draft.connections.set(id, {
    connection: id,
    address,
    phase: 'handshake',
    isOwn,
    confirmed: 0,
    isProven: isOwn,
    isDoubted: false,
    resumeKey,
    phaseAtMs: draft.nowMs,
    lastReceivedAtMs: draft.nowMs,
    receivedBytes: 0,
    delivered: { bytes: 0, atMs: draft.nowMs },
    transferCreditMs: 0,
    link: { networkMs: 0, results: 0, slownessReported: false },
    pingedAtMs: draft.nowMs,
    readyAtMs: draft.nowMs,
    hasBeenReady: false,
    samplesPerMs: 0,
    overheadMs: 0,
    nextTrialAtMs: 0,
    newestResult: -1,
    weightsStep: -1,
    cachesSamples: false,
    hidden: false,
    taskErrors: 0,
  });
}
