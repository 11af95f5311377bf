/** A worker in the coordinator's process lets other workers' weights leave first, as long as they keep moving. */
import { expect, it } from 'vitest';
import { createYield } from '../src/turns.ts';

/** Counts the turns of a yield. @param course outgoing data after each turn of 0.5 ms; the last entry persists */
function turnsUntilYielded(course: readonly { isAny: boolean; given: number }[]): Promise<number> {
  let turns = 0;
  const yieldToOthers = createYield(() => course[Math.min(turns, course.length - 1)]!, {
    nowMs: () => turns / 2,
    after: (_delayMs, callback) => {
      turns += 1;
      queueMicrotask(callback);
      return () => {};
    },
  });
  return yieldToOthers().then(() => turns);
}

const sending = (...given: number[]) => given.map((each) => ({ isAny: true, given: each }));
const last = { isAny: false, given: 3 };

it.each([
  ['gives one turn if nothing is on its way', [last], 1],
  ['waits until the last chunk was given', [...sending(0, 1, 2), last], 3],
  ['waits no more than a millisecond for connections that take nothing', sending(5), 2],
  ['waits no more than a millisecond for connections that stop taking', sending(0, 1, 2, 2, 2, 2), 4],
  ['waits ten milliseconds for connections that go on taking', sending(...Array(100).keys()), 20],
])('%s', async (_, course, turns) => {
  expect(await turnsUntilYielded(course)).toBe(turns);
});
