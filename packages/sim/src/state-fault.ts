/** Invariants of a coordinator's state after every event, whatever came before. */

import type { Connection, ConnectionId, CoordinatorState } from '@lockstep/rules';
import { onTrial } from '@lockstep/rules';

/** Most results held for a shard: two that differ, and those of workers that were late in the meantime. */
const mostVotes = 8;

/** Describes a violated invariant; undefined if all hold. */
export function stateFault(state: CoordinatorState): string | undefined {
  if (state.phase === 'waiting' || state.phase === 'finished' || state.phase === 'failed') return boundFault(state);
  return phaseFault(state) ?? ownerFault(state) ?? progressFault(state) ?? boundFault(state);
}

function phaseFault({ connections, pauseRequested, phase }: CoordinatorState): string | undefined {
  const canTrain = !pauseRequested && some(connections.values(), (connection) => connection.phase === 'ready');
  const expected = canTrain ? 'training' : 'paused';
  return phase === expected ? undefined : `expected the phase ${expected}, got ${phase}`;
}

/** A share of a worker that is gone, or must pass the numerics check first, belongs to another worker. */
function ownerFault({ connections, current, next }: CoordinatorState): string | undefined {
  for (const { step, shards } of next ? [current, next] : [current]) {
    for (const { lo, n, assignments } of shards.values()) {
      const absent = assignments.find(
        ({ connection, why }) => why !== 'check' && connections.get(connection)?.phase !== 'ready',
      );
      if (absent) return `microbatches ${lo} to ${lo + n - 1} of step ${step + 1} belong to a worker that is not ready`;
    }
  }
  return undefined;
}

/**
 * While a worker that is not late is ready, no complete step remains untaken, and no shard waits that an idle worker
 * could compute: a proven worker, or a newcomer if none of its results is held.
 */
function progressFault({ setup, phase, connections, current }: CoordinatorState): string | undefined {
  if (phase !== 'training') return undefined;
  const { shards } = current;
  // A relay that is not asked for anything waits.
  if (setup.isRelay && shards.size === 0) return undefined;
  if (!some(shards.values(), ({ done }) => !done)) return `step ${current.step + 1} is complete and not taken`;
  const isAvailable = (worker: Connection): boolean => worker.phase === 'ready' && worker.answerByMs === undefined;
  if (!some(connections.values(), isAvailable)) return undefined;
  const waiting = [...shards.values()].filter(({ done, assignments }) => !done && assignments.length === 0);
  if (waiting.length === 0) return undefined;
  const busy = new Set<ConnectionId>();
  for (const { done, assignments } of shards.values()) {
    if (done) continue;
    for (const { connection } of assignments) busy.add(connection);
  }
  const trying = onTrial({ connections, current });
  if (busy.size === 0 && trying.size === 0) return `nobody computes step ${current.step + 1}`;
  const idle = [...connections.values()].filter((worker) => isAvailable(worker) && !busy.has(worker.connection));
  for (const { lo, n, held } of waiting) {
    const canCompute = (worker: Connection): boolean =>
      worker.isProven
        ? !held.some(({ workerId }) => workerId === worker.workerId)
        : held.length === 0 && !trying.has(worker.connection);
    if (idle.some(canCompute)) return `microbatches ${lo} to ${lo + n - 1} of step ${current.step + 1} have no owner`;
  }
  return undefined;
}

/** Like `Array.some`, but without a copy: a run with a thousand workers is checked after each of its events. */
function some<Item>(items: Iterable<Item>, holds: (item: Item) => boolean): boolean {
  for (const item of items) if (holds(item)) return true;
  return false;
}

function boundFault({ setup, connections, records, current }: CoordinatorState): string | undefined {
  const { maxWorkers } = setup.limits;
  const named = new Set<string | undefined>();
  let members = 0;
  for (const { phase, workerId } of connections.values()) {
    named.add(workerId);
    if (phase !== 'handshake') members += 1;
  }
  if (members > maxWorkers) return `${members} workers are connected`;
  if (current.shards.size > setup.plan.microbatches)
    return `step ${current.step + 1} has ${current.shards.size} shards`;
  for (const { held } of current.shards.values()) {
    if (held.length > mostVotes) return `${held.length} results of one shard are held`;
  }
  let gone = 0;
  for (const { id, leftAtMs } of records.values()) if (leftAtMs === undefined && !named.has(id)) gone += 1;
  return gone > 0 ? `${gone} workers that are gone count as connected` : undefined;
}
