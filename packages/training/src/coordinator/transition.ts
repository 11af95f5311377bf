/**
 * The rules of a run as one pure function: `(state, event) -> (state, effects)`.
 *
 * Every event, a closed socket as much as a result, ends in `settle`, which gives orphaned shards to somebody, takes
 * the step that is whole, and pauses or resumes. Nothing waits for an event that may never come.
 */
import { assignUnowned, ensureWeights, planStep } from './assign.ts';
import { control, injectFault } from './control.ts';
import { checkDeadlines } from './deadlines.ts';
import { available, count, type Draft, draftOf, emit, stateOf, updateConnection } from './draft.ts';
import { endRun, finishRun, hasEnded, turnAway } from './ending.ts';
import type { CoordinatorEvent, Effect } from './events.ts';
import { handleMessage } from './hear.ts';
import { disconnect } from './membership.ts';
import type { CoordinatorState } from './state.ts';

export interface Transition {
  readonly state: CoordinatorState;
  /** To be carried out in this order. */
  readonly effects: readonly Effect[];
}

export function transition(state: CoordinatorState, event: CoordinatorEvent): Transition {
  const draft = draftOf(state, event.atMs);
  apply(draft, event);
  settle(draft);
  return { state: stateOf(draft), effects: draft.effects };
}

function apply(draft: Draft, event: CoordinatorEvent): void {
  switch (event.type) {
    case 'opened':
      if (hasEnded(draft)) {
        turnAway(draft, event.connection);
        return;
      }
      draft.firstOpenedAtMs ??= event.atMs;
      draft.connections.set(event.connection, {
        connection: event.connection,
        phase: 'handshake',
        resumeKey: event.resumeKey,
        openedAtMs: event.atMs,
        lastMessageAtMs: event.atMs,
        pingedAtMs: event.atMs,
        readyAtMs: event.atMs,
        samplesPerMs: 0,
        weightsStep: -1,
        keepsSamples: false,
        hidden: false,
        taskErrors: 0,
      });
      return;
    case 'message':
      if (!draft.connections.has(event.connection)) return;
      updateConnection(draft, event.connection, { lastMessageAtMs: event.atMs });
      handleMessage(draft, event.connection, event.message);
      return;
    case 'invalid': {
      const connection = draft.connections.get(event.connection);
      if (!connection) return;
      count(draft, 'rejected');
      emit(draft, { type: 'rejected', workerId: connection.workerId, message: event.message });
      disconnect(draft, connection, event.message, event.closeCode);
      return;
    }
    case 'numericsMismatch': {
      const connection = draft.connections.get(event.connection);
      if (!connection) return;
      count(draft, 'rejected');
      const refusal = { type: 'refuse', code: 'numerics', message: event.message } as const;
      draft.effects.push({ type: 'send', connection: event.connection, message: refusal });
      disconnect(draft, connection, event.message, 1008);
      return;
    }
    case 'closed': {
      const connection = draft.connections.get(event.connection);
      if (connection) disconnect(draft, connection, 'its connection closed', undefined);
      return;
    }
    case 'tick':
      checkDeadlines(draft);
      return;
    case 'control':
      control(draft, event.action);
      return;
    case 'injectFault':
      injectFault(draft, event);
      return;
    case 'stop':
      endRun(draft, event.message);
      return;
    default:
      event satisfies never;
  }
}

/** Brings the run as far as it goes with what is known now. */
function settle(draft: Draft): void {
  if (hasEnded(draft)) return;
  if (draft.phase === 'waiting') {
    if (!mayStart(draft)) return;
    draft.phase = 'training';
    emit(draft, { type: 'started' });
    draft.current = planCurrent(draft, draft.current.step);
    planAhead(draft);
  }
  assignUnowned(draft, draft.current);
  if (draft.next) assignUnowned(draft, draft.next);
  while (!draft.pauseRequested && isWhole(draft)) {
    advance(draft);
    if (draft.current.step >= draft.setup.plan.steps) {
      finishRun(draft);
      return;
    }
  }
  const anybody = [...draft.connections.values()].some((connection) => connection.phase === 'ready');
  if (draft.phase === 'training' && (draft.pauseRequested || !anybody)) {
    draft.phase = 'paused';
    if (!draft.pauseRequested) emit(draft, { type: 'paused' });
  } else if (draft.phase === 'paused' && anybody && !draft.pauseRequested) {
    draft.phase = 'training';
    emit(draft, { type: 'resumed' });
  }
}

function mayStart(draft: Draft): boolean {
  const ready = available(draft).length;
  if (draft.pauseRequested) return false;
  if (draft.startAsked && ready > 0) return true;
  if (ready >= draft.setup.startWorkers) return true;
  return ready > 0 && draft.nowMs - (draft.firstOpenedAtMs ?? draft.nowMs) >= draft.setup.startWithinMs;
}

function isWhole(draft: Draft): boolean {
  const { shards } = draft.current;
  return shards.size > 0 && [...shards.values()].every((shard) => shard.done);
}

/** Takes the optimizer's step and moves on; the tasks of the new step were sent ahead, its weights go out now. */
function advance(draft: Draft): void {
  const step = draft.current.step;
  draft.effects.push({ type: 'applyStep', step });
  const following = step + 1;
  if (following >= draft.setup.plan.steps) {
    draft.current = { step: following, shards: new Map() };
    draft.next = undefined;
    return;
  }
  draft.current = draft.next ?? planCurrent(draft, following);
  draft.next = undefined;
  for (const [key, shard] of draft.current.shards) {
    const owners = shard.owners.map((owner) => ({ ...owner, startedAtMs: draft.nowMs }));
    draft.current.shards.set(key, { ...shard, owners });
  }
  for (const connection of [...draft.connections.values()]) {
    const owns = [...draft.current.shards.values()].some((shard) =>
      shard.owners.some((owner) => owner.connection === connection.connection),
    );
    if (owns) ensureWeights(draft, connection);
  }
  planAhead(draft);
  assignUnowned(draft, draft.current);
}

function planCurrent(draft: Draft, step: number): Draft['current'] {
  draft.current = { step, shards: new Map() };
  return planStep(draft, step);
}

function planAhead(draft: Draft): void {
  const following = draft.current.step + 1;
  if (following < draft.setup.plan.steps) draft.next = planStep(draft, following);
}
