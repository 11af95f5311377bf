/** Behaves as a Map, whatever lies below, and leaves that as it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DraftMap } from '../../src/coordinator/draft-map.ts';
import { LayeredMap } from '../../src/coordinator/layered-map.ts';

const key = fc.nat({ max: 9 });
const change = fc.oneof(
  fc.record({ type: fc.constant('set' as const), key, value: fc.nat({ max: 99 }) }),
  fc.record({ type: fc.constant('delete' as const), key }),
  /** The next changes are those of a copy. */
  fc.record({ type: fc.constant('copy' as const) }),
);

describe('LayeredMap', () => {
  it('holds the entries of a map with the same changes, in the same order, and those of each copy stay', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key), fc.array(change, { maxLength: 40 }), (keys, changes) => {
        const base = new Map(keys.map((one) => [one, -one]));
        const expected = new Map(base);
        let layered = LayeredMap.over(base);
        const before: [LayeredMap<number, number>, [number, number][]][] = [];
        for (const next of changes) {
          if (next.type === 'copy') {
            before.push([layered, [...expected]]);
            layered = LayeredMap.over(layered);
          } else if (next.type === 'set') {
            layered.set(next.key, next.value);
            expected.set(next.key, next.value);
          } else {
            expect(layered.delete(next.key)).toBe(expected.delete(next.key));
          }
          expect([...layered]).toEqual([...expected]);
          expect([[...layered.keys()], [...layered.values()]]).toEqual([[...expected.keys()], [...expected.values()]]);
          expect(layered.size).toBe(expected.size);
          for (let one = 0; one < 10; one++) {
            expect([layered.has(one), layered.get(one)]).toEqual([expected.has(one), expected.get(one)]);
          }
        }
        for (const [copied, entries] of before) expect([...copied]).toEqual(entries);
        expect([...base]).toEqual(keys.map((one) => [one, -one]));
      }),
    );
  });
});

/** Counts how often its entries are read one after another. */
class ReadMap extends Map<number, string> {
  readings = 0;

  override [Symbol.iterator](): MapIterator<[number, string]> {
    this.readings += 1;
    return super.entries();
  }
}

describe('DraftMap', () => {
  it('does not read all of a large map for each change, as of the records of workers that have left', () => {
    const records = new ReadMap();
    for (let id = 0; id < 10_000; id++) records.set(id, 'left');
    let state: ReadonlyMap<number, string> = records;
    for (let result = 0; result < 1_000; result++) {
      const draft = new DraftMap(state);
      draft.set(5_000 + (result % 3), `result ${result}`);
      state = draft.result;
    }
    expect(records.readings).toBe(0);
    expect([state.size, state.get(4_999), state.get(5_000)]).toEqual([10_000, 'left', 'result 999']);
  });
});
