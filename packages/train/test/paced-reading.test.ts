import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { pacedReading } from '../src/site/pages.ts';

/** Runs everything that is due now, and its continuations. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run(clock: VirtualClock): Promise<void> {
  await settled();
  while (clock.step()) await settled();
}

describe('pacedReading', () => {
  it('shares a reading among calls that come before it begins, and begins the next one later', async () => {
    const clock = new VirtualClock();
    const begunAtMs: number[] = [];
    const read = pacedReading(async () => begunAtMs.push(clock.nowMs()), clock);
    const first = Array.from({ length: 500 }, read);
    await run(clock);
    expect([...new Set(await Promise.all(first))]).toEqual([1]);
    const second = Array.from({ length: 500 }, read);
    await run(clock);
    expect([...new Set(await Promise.all(second))]).toEqual([2]);
    expect(begunAtMs).toEqual([0, 100]);
  });

  it('gives nothing that was read before the call, and never reads twice at once', async () => {
    const clock = new VirtualClock();
    let [reading, most, value] = [0, 0, 'old'];
    const read = pacedReading(async () => {
      reading += 1;
      most = Math.max(most, reading);
      const now = value;
      await new Promise<void>((resolve) => clock.after(7, resolve));
      reading -= 1;
      return now;
    }, clock);
    const before = read();
    await settled();
    clock.step();
    await settled();
    expect(reading).toBe(1);
    value = 'new';
    const after = read();
    await run(clock);
    expect([await before, await after, most]).toEqual(['old', 'new', 1]);
  });

  it('goes on after a reading that failed', async () => {
    const clock = new VirtualClock();
    let readings = 0;
    const read = pacedReading(async () => {
      readings += 1;
      if (readings === 1) throw new Error('not this time');
      return readings;
    }, clock);
    const failed = expect(read()).rejects.toThrow('not this time');
    await run(clock);
    await failed;
    const second = read();
    await run(clock);
    expect(await second).toBe(2);
  });
});
