/** Brings a run as far as it goes with what is known now: starts it, takes complete steps, pauses, resumes. */
import { finishAsked } from './asked.ts';
import { available, type Draft, emit, isAnyReady, owedSamples, updateConnection } from './draft.ts';
import { DraftShards } from './draft-shards.ts';
import { finishRun, hasEnded } from './ending.ts';
import { assignUnowned, isAnyOwned, openShards, planStep, sendWeightsOnce } from './schedule.ts';
import { referee } from './verification.ts';

export function advanceRun(draft: Draft): void {
  if (hasEnded(draft)) return;
  if (draft.phase === 'waiting') {
    if (!mayStart(draft)) return;
    start(draft);
  }
  assignUnowned(draft, draft.current);
  if (draft.next && isAnyOwned(draft.next)) assignUnowned(draft, draft.next);
  refereeHeld(draft);
  while (!draft.pauseRequested && isComplete(draft)) {
    if (draft.setup.isRelay) {
      finishAsked(draft);
      break;
    }
    takeStep(draft);
    if (draft.current.step >= draft.setup.plan.steps) {
      finishRun(draft);
      return;
    }
  }
  pauseOrResume(draft);
}

/** Has the coordinator compute a shard whose held result no worker is to confirm, one after another. */
function refereeHeld(draft: Draft): void {
  const held = openShards(draft, draft.current).find(({ votes, owners }) => votes.length > 0 && owners.length === 0);
  if (!held) return;
  for (const { refereed, done } of draft.current.shards.values()) if (refereed && !done) return;
  referee(draft, held);
}

function mayStart(draft: Draft): boolean {
  const ready = available(draft).length;
  const { startWorkers, startWithinMs } = draft.setup;
  if (draft.pauseRequested) return false;
  if (draft.startRequested && ready > 0) return true;
  if (ready >= startWorkers) return true;
  return ready > 0 && draft.nowMs - (draft.firstOpenedAtMs ?? draft.nowMs) >= startWithinMs;
}

function start(draft: Draft): void {
  draft.phase = 'training';
  emit(draft, { type: 'started' });
  if (draft.setup.isRelay) return;
  draft.current = planStep(draft, draft.current.step);
  planNext(draft);
}

function isComplete(draft: Draft): boolean {
  const { shards } = draft.current;
  for (const { done } of shards.values()) if (!done) return false;
  return shards.size > 0;
}

/** Takes the optimizer's step and moves on: the tasks of the new step were sent ahead, its weights go out now. */
function takeStep(draft: Draft): void {
  const { step } = draft.current;
  draft.patience = 1;
  countChecked(draft);
  draft.effects.push({ type: 'applyStep', step });
  if (step + 1 >= draft.setup.plan.steps) {
    draft.current = { step: step + 1, shards: new DraftShards() };
    draft.next = undefined;
    return;
  }
  const planned = draft.next;
  draft.next = undefined;
  draft.current = { step: step + 1, shards: new DraftShards() };
  // A step that was planned while no worker was proven is planned now that some may be.
  draft.current = planned && isAnyOwned(planned) ? planned : planStep(draft, step + 1);
  startClocks(draft);
  for (const connection of [...draft.connections.values()]) {
    const owns = owedSamples(draft.current, connection.connection) > 0;
    if (owns || connection.trial?.step === draft.current.step) sendWeightsOnce(draft, connection);
  }
  planNext(draft);
  assignUnowned(draft, draft.current);
}

function countChecked(draft: Draft): void {
  let { shards, of } = draft.checked;
  for (const { isChecked } of draft.current.shards.values()) {
    of += 1;
    if (isChecked) shards += 1;
  }
  draft.checked = { shards, of };
}

/** A shard that was sent ahead can be computed only from now on, since its weights are sent now. */
function startClocks(draft: Draft): void {
  for (const [key, shard] of draft.current.shards) {
    const owners = shard.owners.map((owner) => ({ ...owner, startedAtMs: draft.nowMs }));
    draft.current.shards.set(key, { ...shard, owners });
  }
  for (const { connection, trial } of [...draft.connections.values()]) {
    if (trial?.step === draft.current.step) {
      updateConnection(draft, connection, { trial: { ...trial, startedAtMs: draft.nowMs } });
    }
  }
}

/** Assigns the step after the current one, whose tasks are sent ahead of their weights. */
function planNext(draft: Draft): void {
  const step = draft.current.step + 1;
  if (step < draft.setup.plan.steps) draft.next = planStep(draft, step);
}

function pauseOrResume(draft: Draft): void {
  const ready = isAnyReady(draft);
  if (draft.phase === 'training' && (draft.pauseRequested || !ready)) {
    draft.phase = 'paused';
    // A pause that a person asked for was announced when it was asked for.
    if (!draft.pauseRequested) emit(draft, { type: 'paused' });
  } else if (draft.phase === 'paused' && ready && !draft.pauseRequested) {
    draft.phase = 'training';
    emit(draft, { type: 'resumed' });
  }
}
