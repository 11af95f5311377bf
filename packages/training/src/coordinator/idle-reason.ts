/** Why a worker that is connected computes nothing at the moment. */
import { usedMicrobatches } from '../plan.ts';
import type { Connection, CoordinatorState } from './state.ts';

/**
 * `joining`: it has not passed the numerics check. `waiting`: the run has not begun. `paused`: a person paused it. `trial`:
 * it has yet to show that its results are right. `outnumbered`: a step has fewer microbatches than workers. `slow`: steps are done sooner
 * without it. `rotation`: either of these, in a run in which all take part.
 */
export type IdleReason = 'joining' | 'waiting' | 'paused' | 'trial' | 'outnumbered' | 'slow' | 'rotation';

/** Undefined where it has a share of the current step or of the next, or is late with one. */
export function idleReasonOf(state: CoordinatorState, connection: Connection): IdleReason | undefined {
  const { phase, pauseRequested, connections, current, setup } = state;
  if (connection.phase !== 'ready') return 'joining';
  if (phase === 'waiting') return 'waiting';
  if (phase === 'paused' && pauseRequested) return 'paused';
  if (connection.answerByMs !== undefined || hasShare(state, connection)) return undefined;
  if (!connection.isProven) return 'trial';
  if (setup.participation === 'rotation') return 'rotation';
  const ready = [...connections.values()].filter((other) => other.phase === 'ready').length;
  const isOver = current.step >= setup.plan.steps;
  return !isOver && usedMicrobatches(setup.plan, current.step) < ready ? 'outnumbered' : 'slow';
}

function hasShare({ current, next }: CoordinatorState, { connection, workerId, newestResult }: Connection): boolean {
  if (newestResult === current.step) return true;
  const shards = [...current.shards.values(), ...(next?.shards.values() ?? [])];
  return shards.some(
    ({ owners, addedFrom }) =>
      owners.some((owner) => owner.connection === connection) || (workerId !== undefined && addedFrom === workerId),
  );
}
