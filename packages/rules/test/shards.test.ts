/** The index of a step's shards by owner equals a search of all shards. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Shards } from '../src/run-state.ts';
import type { ShardState } from '../src/state.ts';
import { shardKey } from '../src/tree.ts';

const connection = fc.nat({ max: 3 });
const assignment = { n: 1, step: 0, why: 'share' as const, startedAtMs: 0 };
const shard: fc.Arbitrary<ShardState> = fc
  .record({ lo: fc.nat({ max: 7 }), owners: fc.array(connection, { maxLength: 3 }), done: fc.boolean() })
  .map(({ lo, owners, done }) => ({
    lo,
    n: 1,
    samples: lo + 1,
    assignments: owners.map((owner) => ({ ...assignment, lo, samples: lo + 1, connection: owner })),
    done,
    nonFiniteFrom: [],
    policy: 'first' as const,
    held: [],
    isChecked: false,
    isDecided: false,
  }));
const change = fc.oneof(
  shard.map((next) => ({ type: 'set', shard: next }) as const),
  fc.nat({ max: 7 }).map((lo) => ({ type: 'remove', lo }) as const),
  connection.map((asked) => ({ type: 'ask', asked }) as const),
);

it('what a connection owes is what its shards add up to, after any changes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const shards = new Shards();
      const expected = new Map<string, ShardState>();
      for (const next of changes) {
        if (next.type === 'set') {
          const key = shardKey(next.shard);
          const { assignments, done } = next.shard;
          if (expected.has(key)) shards.update(key, { assignments, done });
          else shards.add({ ...next.shard });
          expected.set(key, next.shard);
        } else if (next.type === 'remove') {
          const known = shards.get(shardKey({ lo: next.lo, n: 1 }));
          if (known) shards.remove(known);
          expected.delete(shardKey({ lo: next.lo, n: 1 }));
        } else {
          const owned = [...expected.values()].filter(
            ({ done, assignments }) => !done && assignments.some((one) => one.connection === next.asked),
          );
          expect(shards.ownedBy(next.asked)).toEqual(owned);
          expect(shards.owedSamples(next.asked)).toBe(owned.reduce((sum, { samples }) => sum + samples, 0));
        }
      }
      expect([...shards]).toEqual([...expected]);
      expect(shards.size).toBe(expected.size);
    }),
  );
});
