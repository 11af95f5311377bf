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

const sending = (given: number) => ({ isAny: true, given });

it('gives one turn where nothing is on its way', async () => {
  expect(await turnsUntilYielded([{ isAny: false, given: 3 }])).toBe(1);
});

it('waits until the last chunk was given', async () => {
  expect(await turnsUntilYielded([sending(0), sending(1), sending(2), { isAny: false, given: 3 }])).toBe(3);
});

it('waits no more than a millisecond for connections that take nothing', async () => {
  expect(await turnsUntilYielded([sending(5)])).toBe(2);
  expect(await turnsUntilYielded([sending(0), sending(1), sending(2), sending(2), sending(2), sending(2)])).toBe(4);
});

it('waits ten milliseconds for connections that go on taking', async () => {
  expect(await turnsUntilYielded(Array.from({ length: 100 }, (_, index) => sending(index)))).toBe(20);
});
