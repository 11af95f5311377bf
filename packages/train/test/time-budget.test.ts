import { describe, expect, it } from 'vitest';
import { TimeBudget } from '../src/dashboard/dashboard.ts';

describe('a time budget', () => {
  const setUp = () => {
    let now = 0;
    const budget = new TimeBudget({ nowMs: () => now, part: 0.02, maxPauseMs: 2_000 });
    /**
     * Tries every 100 ms, as the dashboard does; returns how often it did the work, and the share of time that took.
     */
    const during = (untilMs: number, costMs: number): [times: number, part: number] => {
      const startedAtMs = now;
      let [times, spentMs] = [0, 0];
      for (; now < untilMs; now += 100) {
        if (!budget.isDue) continue;
        budget.spend(() => (now += costMs));
        times += 1;
        spentMs += costMs;
      }
      return [times, spentMs / (now - startedAtMs)];
    };
    return { budget, during, wait: (ms: number) => (now += ms) };
  };

  it('allows ten times a second where that costs little', () => {
    expect(setUp().during(10_000, 0.5)[0]).toBeGreaterThan(98);
  });

  it.each([2, 5, 10, 30])('allows two hundredths of the time where the work costs %i ms', (costMs) => {
    const [times, part] = setUp().during(100_000, costMs);
    expect(times).toBeGreaterThan(50);
    expect(part).toBeLessThanOrEqual(0.021);
  });

  it('allows once in two seconds at least, whatever that costs', () => {
    expect(setUp().during(30_000, 500)[0]).toBeGreaterThan(9);
  });

  it('counts work in between as well', () => {
    const { budget, wait } = setUp();
    budget.spend(() => wait(2));
    budget.spend(() => wait(2));
    wait(190);
    expect(budget.isDue).toBe(false);
    wait(10);
    expect(budget.isDue).toBe(true);
  });
});
