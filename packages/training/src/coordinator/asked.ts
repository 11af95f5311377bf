/**
 * The shards that a relay is asked for by the coordinator above it, one at a time: each takes the place that a whole step
 * has in a coordinator, so that shares, deadlines, votes and the referee are the same.
 */
import type { Shard } from '../tree.ts';
import { cancelOwners } from './cancel-owners.ts';
import type { Draft } from './draft.ts';
import { DraftShards } from './draft-shards.ts';
import { hasEnded } from './ending.ts';
import { planStep } from './schedule.ts';

/** Divides the asked shard among the workers. The weights of its step are those of the parameters. */
export function takeAsked(draft: Draft, { step, lo, n }: Shard & { readonly step: number }): void {
  if (hasEnded(draft)) return;
  withdrawAsked(draft);
  const asked = { lo, n };
  draft.current = { step, asked, shards: new DraftShards() };
  draft.effects.push({ type: 'restartStep', step, asked });
  draft.current = planStep(draft, step, asked);
}

/** Every shard of it is in. */
export function finishAsked(draft: Draft): void {
  draft.patience = 1;
  draft.effects.push({ type: 'askedDone' });
  clear(draft);
}

/** The coordinator above decides what that means. */
export function failAsked(draft: Draft, message: string): void {
  withdrawAsked(draft);
  draft.effects.push({ type: 'askedFailed', message });
}

export function withdrawAsked(draft: Draft): void {
  for (const shard of draft.current.shards.values()) if (!shard.done) cancelOwners(draft, shard);
  clear(draft);
}

function clear(draft: Draft): void {
  draft.current = { step: draft.current.step, shards: new DraftShards() };
}
