/** A draft leaves the state's maps as they are, and what it keeps of owners is what a look at every shard gives. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DraftShards } from '../../src/coordinator/draft-shards.ts';
import type { ShardState } from '../../src/coordinator/state.ts';
import { deepFreeze } from './deep-freeze.ts';

const connection = fc.nat({ max: 3 });
const shard: fc.Arbitrary<ShardState> = fc
  .record({ lo: fc.nat({ max: 7 }), owners: fc.array(connection, { maxLength: 3 }), done: fc.boolean() })
  .map(({ lo, owners, done }) => ({
    lo,
    n: 1,
    samples: lo + 1,
    owners: owners.map((owner) => ({ connection: owner, startedAtMs: 0 })),
    done,
    nonFiniteFrom: [],
    policy: 'first' as const,
    votes: [],
    refereed: false,
    isChecked: false,
  }));
const change = fc.oneof(
  shard.map((next) => ({ type: 'set', shard: next }) as const),
  fc.nat({ max: 7 }).map((lo) => ({ type: 'delete', lo }) as const),
  connection.map((asked) => ({ type: 'ask', asked }) as const),
);

it('what a connection owes is what its shards add up to, after any changes', () => {
  fc.assert(
    fc.property(fc.array(shard, { maxLength: 6 }), fc.array(change, { maxLength: 20 }), (shards, changes) => {
      const before = new Map(shards.map((one) => [`${one.lo}`, one]));
      const copy = new Map(before);
      const draft = new DraftShards(deepFreeze(before));
      const expected = new Map(before);
      for (const next of changes) {
        if (next.type === 'set') {
          draft.set(`${next.shard.lo}`, next.shard);
          expected.set(`${next.shard.lo}`, next.shard);
        } else if (next.type === 'delete') {
          expect(draft.delete(`${next.lo}`)).toBe(expected.delete(`${next.lo}`));
        } else {
          const owned = [...expected.values()].filter(
            ({ done, owners }) => !done && owners.some((owner) => owner.connection === next.asked),
          );
          expect(draft.ownedBy(next.asked)).toEqual(owned);
          expect(draft.owedSamples(next.asked)).toBe(owned.reduce((sum, { samples }) => sum + samples, 0));
        }
      }
      expect([...draft.result]).toEqual([...expected]);
      expect([...before]).toEqual([...copy]);
    }),
  );
});

it('a draft without changes is the map of the state itself', () => {
  const shards = new Map<string, ShardState>();
  const draft = new DraftShards(shards);
  expect(draft.delete('none')).toBe(false);
  expect(draft.result).toBe(shards);
});
