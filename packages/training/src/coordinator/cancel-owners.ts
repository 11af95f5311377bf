/** Tells workers that a shard that they compute is not wanted any more. */
import { type Draft, send } from './draft.ts';
import type { ConnectionId, ShardState } from './state.ts';
import { isTrial } from './trials.ts';

/**
 * Cancels a shard of the current step with its owners, but for the one whose result counts. Not with a late one, nor with
 * one on trial: the answer shows that the worker is there, and its absence that it is not.
 */
export function cancelOwners(draft: Draft, { lo, n, owners }: ShardState, winner?: ConnectionId): void {
  const { step } = draft.current;
  for (const { connection } of owners) {
    const owner = draft.connections.get(connection);
    if (connection === winner || owner?.answerByMs !== undefined || isTrial(owner, { step, lo, n })) continue;
    send(draft, connection, { type: 'cancel', step, lo, n });
  }
}
