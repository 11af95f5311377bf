import { describe, expect, it } from 'vitest';
import { Throughput } from '../src/record/curve.ts';

/** Within 10 %: the window begins at a mark, and marks are up to a fifth of a second apart. */
function expectNear(value: number, expected: number): void {
  expect(Math.abs(value - expected)).toBeLessThan(expected / 10);
}

describe('throughput', () => {
  it('is that of the last few seconds, and falls to 0 where no step is taken', () => {
    let now = 0;
    const throughput = new Throughput(() => now);
    expect(throughput.perSecond()).toBe(0);
    for (; now < 10_000; now += 100) throughput.add(10);
    expectNear(throughput.perSecond(), 100);
    for (; now < 20_000; now += 100) throughput.add(40);
    expectNear(throughput.perSecond(), 400);
    now += 60_000;
    expect(throughput.perSecond()).toBe(0);
  });
});
