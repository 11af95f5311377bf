/** How a run goes on: from step to step, or, below a relay, from one asked shard to the next. */
import { assignUnowned, cancel, isAnyOwned, isRefereed, openShards, referee, sendWeightsOnce } from './assignments.ts';
import { finishRun } from './joining.ts';
import { keepState, noteContributors } from './rewind.ts';
import {
  available,
  emit,
  hasEnded,
  isAnyReady,
  owedSamples,
  type RunState,
  restartClock,
  Shards,
  updateConnection,
} from './run-state.ts';
import { planStep } from './schedule.ts';
import type { Shard } from './tree.ts';

export function advanceRun(run: RunState): void {
  if (hasEnded(run)) return;
  if (run.phase === 'waiting') {
    if (!mayStart(run)) return;
    start(run);
  }
  assignUnowned(run, run.current);
  if (run.next && isAnyOwned(run.next)) assignUnowned(run, run.next);
  refereeHeld(run);
  while (mayTakeStep(run) && isComplete(run)) {
    if (run.setup.isRelay) {
      finishAsked(run);
      break;
    }
    takeStep(run);
    if (run.current.step >= run.setup.plan.steps) {
      finishRun(run);
      return;
    }
  }
  pauseOrResume(run);
}

function mayTakeStep({ pauseRequested, allowedSteps = Number.POSITIVE_INFINITY, current }: RunState): boolean {
  return !pauseRequested && current.step < allowedSteps;
}

/** Has the coordinator compute, one at a time, the shards whose held result no worker is assigned to confirm. */
function refereeHeld(run: RunState): void {
  const held = openShards(run, run.current).find(
    ({ held, assignments }) => held.length > 0 && assignments.length === 0,
  );
  if (!held) return;
  for (const shard of run.current.shards.values()) if (isRefereed(shard) && !shard.done) return;
  referee(run, held);
}

function mayStart(run: RunState): boolean {
  const ready = available(run).length;
  const { startWorkers, startWithinMs } = run.setup;
  if (run.pauseRequested) return false;
  if (run.startRequested && ready > 0) return true;
  if (ready >= startWorkers) return true;
  return ready > 0 && run.nowMs - (run.firstOpenedAtMs ?? run.nowMs) >= startWithinMs;
}

function start(run: RunState): void {
  run.phase = 'training';
  emit(run, { type: 'started' });
  if (run.setup.isRelay) return;
  run.current = planStep(run, run.current.step);
  planNext(run);
}

function isComplete(run: RunState): boolean {
  const { shards } = run.current;
  for (const { done } of shards.values()) if (!done) return false;
  return shards.size > 0;
}

/** Applies the optimizer and begins the next step: its tasks were sent ahead, its weights are sent now. */
function takeStep(run: RunState): void {
  const { step } = run.current;
  run.patience = 1;
  if (noteContributors(run)) keepState(run);
  countChecked(run);
  run.stepStart = { checked: run.checked, contributed: run.contributed };
  run.commands.push({ type: 'applyStep', step });
  if (step + 1 >= run.setup.plan.steps) {
    run.current = { step: step + 1, shards: new Shards() };
    run.next = undefined;
    return;
  }
  const planned = run.next;
  run.next = undefined;
  run.current = { step: step + 1, shards: new Shards() };
  // A step that was planned while no worker was proven is planned again, since some may be proven now.
  run.current = planned && isAnyOwned(planned) ? planned : planStep(run, step + 1);
  startClocks(run);
  for (const connection of [...run.connections.values()]) {
    const owns = owedSamples(run.current, connection.connection) > 0;
    if (owns || connection.trial?.step === run.current.step) sendWeightsOnce(run, connection);
  }
  planNext(run);
  assignUnowned(run, run.current);
}

function countChecked(run: RunState): void {
  let { shards, of } = run.checked;
  for (const { isChecked } of run.current.shards.values()) {
    of += 1;
    if (isChecked) shards += 1;
  }
  run.checked = { shards, of };
}

/** Restarts the clocks of shards that were sent ahead, since their weights are sent only now. */
function startClocks(run: RunState): void {
  for (const { assignments } of run.current.shards.values()) {
    for (const assignment of assignments) restartClock(run, assignment);
  }
  for (const { trial } of run.connections.values()) {
    if (trial?.step === run.current.step) restartClock(run, trial);
  }
}

/** Plans the step after the current one; its tasks are sent ahead of its weights. */
function planNext(run: RunState): void {
  const step = run.current.step + 1;
  if (step < run.setup.plan.steps) run.next = planStep(run, step);
}

function pauseOrResume(run: RunState): void {
  const ready = isAnyReady(run);
  if (run.phase === 'training' && (run.pauseRequested || !ready)) {
    run.phase = 'paused';
    // A requested pause was announced when it was requested.
    if (!run.pauseRequested) emit(run, { type: 'paused' });
  } else if (run.phase === 'paused' && ready && !run.pauseRequested) {
    run.phase = 'training';
    emit(run, { type: 'resumed' });
  }
}

/** Divides the asked shard among the workers. The parameters already hold the weights of its step. */
export function takeAsked(run: RunState, { step, lo, n }: Shard & { readonly step: number }): void {
  if (hasEnded(run)) return;
  withdrawAsked(run);
  const asked = { lo, n };
  run.current = { step, asked, shards: new Shards() };
  run.commands.push({ type: 'restartStep', step, asked });
  run.current = planStep(run, step, asked);
}

/** Reports that the sum of the asked shard is complete. */
function finishAsked(run: RunState): void {
  run.patience = 1;
  noteContributors(run);
  run.commands.push({ type: 'askedDone' });
  clear(run);
}

/** Reports that the asked shard has no sum; the coordinator above decides what to do. */
export function failAsked(run: RunState, message: string): void {
  withdrawAsked(run);
  run.commands.push({ type: 'askedFailed', message });
}

export function withdrawAsked(run: RunState): void {
  for (const shard of run.current.shards.values()) if (!shard.done) cancel(run, shard);
  clear(run);
}

function clear(run: RunState): void {
  run.current = { step: run.current.step, shards: new Shards() };
}

/** Forwards arriving weights to the workers that have answered for the current step; to none while a shard is open. */
export function forwardWeights(run: RunState, step: number): void {
  const { current } = run;
  const isOver = hasEnded(run) || current.shards.size > 0 || step <= current.step;
  const receivers = [...run.connections.values()].filter(
    ({ phase, weightsStep, newestResult }) =>
      !isOver && phase === 'ready' && weightsStep === current.step && newestResult === current.step,
  );
  for (const { connection } of receivers) updateConnection(run, connection, { weightsStep: step });
  const connections = receivers.map(({ connection }) => connection);
  run.commands.push({ type: 'forwardWeights', connections, step });
}

/** Notes that forwarded weights broke off, so that the workers still have the current step's. */
export function forgetForwarded(run: RunState, step: number): void {
  for (const { connection, weightsStep } of [...run.connections.values()]) {
    if (weightsStep === step) updateConnection(run, connection, { weightsStep: run.current.step });
  }
}
