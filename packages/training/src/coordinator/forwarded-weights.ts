/** Weights that a relay sends on chunk by chunk, before they are whole and it is asked for a shard of their step. */
import { type Draft, updateConnection } from './draft.ts';
import { hasEnded } from './ending.ts';

/** Sends them to the workers that computed for the step before, which may get a share of this one; to none while a shard is open. */
export function forwardWeights(draft: Draft, step: number): void {
  const { current } = draft;
  const isOver = hasEnded(draft) || current.shards.size > 0 || step <= current.step;
  const receivers = [...draft.connections.values()].filter(
    ({ phase, weightsStep, newestResult }) =>
      !isOver && phase === 'ready' && weightsStep === current.step && newestResult === current.step,
  );
  for (const { connection } of receivers) updateConnection(draft, connection, { weightsStep: step });
  const connections = receivers.map(({ connection }) => connection);
  draft.effects.push({ type: 'forwardWeights', connections, step });
}

/** They were not whole, so the workers still have the weights of the step before. */
export function forgetForwarded(draft: Draft, step: number): void {
  for (const { connection, weightsStep } of [...draft.connections.values()]) {
    if (weightsStep === step) updateConnection(draft, connection, { weightsStep: draft.current.step });
  }
}
