/** What the shards of a step keep of their owners is what a look at every shard gives. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Shards } from '../../src/coordinator/run-state.ts';
import type { ShardState } from '../../src/coordinator/state.ts';
import { shardKey } from '../../src/tree.ts';

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
    held: [],
    refereed: false,
    isChecked: false,
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
          const { owners, done } = next.shard;
          if (expected.has(key)) shards.update(key, { owners, done });
          else shards.add({ ...next.shard });
          expected.set(key, next.shard);
        } else if (next.type === 'remove') {
          const known = shards.get(shardKey({ lo: next.lo, n: 1 }));
          if (known) shards.remove(known);
          expected.delete(shardKey({ lo: next.lo, n: 1 }));
        } else {
          const owned = [...expected.values()].filter(
            ({ done, owners }) => !done && owners.some((owner) => owner.connection === next.asked),
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
