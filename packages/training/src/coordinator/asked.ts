/** The run of a relay: the shards that the coordinator above asks for, and weights that are sent on while they arrive. */
import type { Shard } from '../tree.ts';
import { hasEnded, type RunState, Shards, updateConnection } from './run-state.ts';
import { cancelOwners, planStep } from './schedule.ts';

/** Divides the asked shard among the workers. The weights of its step are those of the parameters. */
export function takeAsked(run: RunState, { step, lo, n }: Shard & { readonly step: number }): void {
  if (hasEnded(run)) return;
  withdrawAsked(run);
  const asked = { lo, n };
  run.current = { step, asked, shards: new Shards() };
  run.commands.push({ type: 'restartStep', step, asked });
  run.current = planStep(run, step, asked);
}

/** Every shard of it is in. */
export function finishAsked(run: RunState): void {
  run.patience = 1;
  run.commands.push({ type: 'askedDone' });
  clear(run);
}

/** The coordinator above decides what that means. */
export function failAsked(run: RunState, message: string): void {
  withdrawAsked(run);
  run.commands.push({ type: 'askedFailed', message });
}

export function withdrawAsked(run: RunState): void {
  for (const shard of run.current.shards.values()) if (!shard.done) cancelOwners(run, shard);
  clear(run);
}

function clear(run: RunState): void {
  run.current = { step: run.current.step, shards: new Shards() };
}

/** Sends them to the workers that computed for the step before, which may get a share of this one; to none while a shard is open. */
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

/** They were not whole, so the workers still have the weights of the step before. */
export function forgetForwarded(run: RunState, step: number): void {
  for (const { connection, weightsStep } of [...run.connections.values()]) {
    if (weightsStep === step) updateConnection(run, connection, { weightsStep: run.current.step });
  }
}
