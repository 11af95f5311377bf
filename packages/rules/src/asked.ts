/**
 * A relay's run. An asked shard takes the place of a coordinator's step, so that shares, deadlines, checks and the
 * referee work the same way. Weights are forwarded while they arrive.
 */

import { cancel } from './assignments.ts';
import { hasEnded, type RunState, Shards, updateConnection } from './run-state.ts';
import { planStep } from './schedule.ts';
import type { Shard } from './tree.ts';

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
export function finishAsked(run: RunState): void {
  run.patience = 1;
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
