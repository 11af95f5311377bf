/**
 * The rules of a run as one pure function: `(state, event) -> (state, effects)`.
 *
 * Every event, a closed socket as much as a result, ends in `settle`, which gives orphaned blocks to somebody, takes
 * the step that is whole, and pauses or resumes. Nothing waits for an event that may never come.
 */
import { assignUnowned, ensureWeights, planStep } from './assign.ts';
import { chase } from './deadlines.ts';
import { available, count, type Draft, draftOf, notice, stateOf, updateConnection } from './draft.ts';
import { endRun, finishRun, hasEnded, turnAway } from './ending.ts';
import type { CoordinatorEvent, Effect } from './events.ts';
import { hear } from './hear.ts';
import { depart } from './membership.ts';
import type { CoordinatorState } from './state.ts';
import { makeTrouble, steer } from './steering.ts';

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
        phase: 'greeting',
        resumeKey: event.resumeKey,
        openedAtMs: event.atMs,
        heardAtMs: event.atMs,
        pingedAtMs: event.atMs,
        readyAtMs: event.atMs,
        samplesPerMs: 0,
        weightsStep: -1,
        keepsSamples: false,
        hidden: false,
        taskErrors: 0,
      });
      return;
    case 'heard':
      if (!draft.connections.has(event.connection)) return;
      updateConnection(draft, event.connection, { heardAtMs: event.atMs });
      hear(draft, event.connection, event.message);
      return;
    case 'invalid': {
      const connection = draft.connections.get(event.connection);
      if (!connection) return;
      count(draft, 'rejected');
      notice(draft, { type: 'rejected', workerId: connection.workerId, sentence: event.sentence });
      depart(draft, connection, event.sentence, event.closeCode);
      return;
    }
    case 'distrusted': {
      const connection = draft.connections.get(event.connection);
      if (!connection) return;
      count(draft, 'rejected');
      const refusal = { type: 'refuse', code: 'arithmetic', sentence: event.sentence } as const;
      draft.effects.push({ type: 'send', connection: event.connection, message: refusal });
      depart(draft, connection, event.sentence, 1008);
      return;
    }
    case 'closed': {
      const connection = draft.connections.get(event.connection);
      if (connection) depart(draft, connection, 'its connection closed', undefined);
      return;
    }
    case 'tick':
      chase(draft);
      return;
    case 'steer':
      steer(draft, event.action);
      return;
    case 'chaos':
      makeTrouble(draft, event);
      return;
    case 'stop':
      endRun(draft, event.sentence);
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
    notice(draft, { type: 'started' });
    draft.current = planCurrent(draft, draft.current.step);
    planAhead(draft);
  }
  assignUnowned(draft, draft.current);
  if (draft.next) assignUnowned(draft, draft.next);
  while (!draft.held && isWhole(draft)) {
    advance(draft);
    if (draft.current.step >= draft.setup.plan.steps) {
      finishRun(draft);
      return;
    }
  }
  const anybody = [...draft.connections.values()].some((connection) => connection.phase === 'ready');
  if (draft.phase === 'training' && (draft.held || !anybody)) {
    draft.phase = 'paused';
    if (!draft.held) notice(draft, { type: 'paused' });
  } else if (draft.phase === 'paused' && anybody && !draft.held) {
    draft.phase = 'training';
    notice(draft, { type: 'resumed' });
  }
}

function mayStart(draft: Draft): boolean {
  const ready = available(draft).length;
  if (draft.held) return false;
  if (draft.startAsked && ready > 0) return true;
  if (ready >= draft.setup.startWorkers) return true;
  return ready > 0 && draft.nowMs - (draft.firstOpenedAtMs ?? draft.nowMs) >= draft.setup.startWithinMs;
}

function isWhole(draft: Draft): boolean {
  const { blocks } = draft.current;
  return blocks.size > 0 && [...blocks.values()].every((block) => block.done);
}

/** Takes the optimizer's step and moves on; the tasks of the new step were sent ahead, its weights go out now. */
function advance(draft: Draft): void {
  const step = draft.current.step;
  draft.effects.push({ type: 'applyStep', step });
  const following = step + 1;
  if (following >= draft.setup.plan.steps) {
    draft.current = { step: following, blocks: new Map() };
    draft.next = undefined;
    return;
  }
  draft.current = draft.next ?? planCurrent(draft, following);
  draft.next = undefined;
  for (const [key, block] of draft.current.blocks) {
    const owners = block.owners.map((owner) => ({ ...owner, startedAtMs: draft.nowMs }));
    draft.current.blocks.set(key, { ...block, owners });
  }
  for (const connection of [...draft.connections.values()]) {
    const owns = [...draft.current.blocks.values()].some((block) =>
      block.owners.some((owner) => owner.connection === connection.connection),
    );
    if (owns) ensureWeights(draft, connection);
  }
  planAhead(draft);
  assignUnowned(draft, draft.current);
}

function planCurrent(draft: Draft, step: number): Draft['current'] {
  draft.current = { step, blocks: new Map() };
  return planStep(draft, step);
}

function planAhead(draft: Draft): void {
  const following = draft.current.step + 1;
  if (following < draft.setup.plan.steps) draft.next = planStep(draft, following);
}
