/** What must hold of a coordinator's state after every event, whatever came before it. */
import type { Connection, CoordinatorState } from '../coordinator/state.ts';

/** Results of a shard that may be held: two that differ, and those of owners that were late meanwhile. */
const mostVotes = 8;

/** What does not hold, in words; undefined where all does. */
export function stateFault(state: CoordinatorState): string | undefined {
  if (state.phase === 'waiting' || state.phase === 'finished' || state.phase === 'failed') return boundFault(state);
  return phaseFault(state) ?? progressFault(state) ?? boundFault(state);
}

function phaseFault({ connections, pauseRequested, phase }: CoordinatorState): string | undefined {
  const canTrain = !pauseRequested && [...connections.values()].some((connection) => connection.phase === 'ready');
  const expected = canTrain ? 'training' : 'paused';
  return phase === expected ? undefined : `expected the phase ${expected}, got ${phase}`;
}

/** While a worker that is not late is ready, a step is neither complete and not taken, nor does a shard wait for an owner. */
function progressFault({ setup, phase, connections, current }: CoordinatorState): string | undefined {
  if (phase !== 'training') return undefined;
  const shards = [...current.shards.values()];
  // A relay that is asked for nothing waits.
  if (setup.isRelay && shards.length === 0) return undefined;
  if (shards.every(({ done }) => done)) return `step ${current.step + 1} is complete and not taken`;
  const isAvailable = (worker: Connection): boolean => worker.phase === 'ready' && worker.answerByMs === undefined;
  if (![...connections.values()].some(isAvailable)) return undefined;
  const idle = shards.find(({ done, refereed, owners }) => !done && !refereed && owners.length === 0);
  return idle && `microbatches ${idle.lo} to ${idle.lo + idle.n - 1} of step ${current.step + 1} have no owner`;
}

function boundFault({ setup, connections, records, current }: CoordinatorState): string | undefined {
  const { maxWorkers } = setup.limits;
  const members = [...connections.values()].filter((connection) => connection.phase !== 'handshake').length;
  if (members > maxWorkers) return `${members} workers are connected`;
  if (current.shards.size > setup.plan.microbatches)
    return `step ${current.step + 1} has ${current.shards.size} shards`;
  const mostHeld = Math.max(0, ...Array.from(current.shards.values(), ({ votes }) => votes.length));
  if (mostHeld > mostVotes) return `${mostHeld} results of one shard are held`;
  const named = new Set(Array.from(connections.values(), ({ workerId }) => workerId));
  const gone = [...records.values()].filter(({ id, leftAtMs }) => leftAtMs === undefined && !named.has(id));
  return gone.length > 0 ? `${gone.length} workers that are gone count as connected` : undefined;
}
