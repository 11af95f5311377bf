import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { learningRateAt, parseOptimizer } from '../src/index.ts';
import { cosineOfPi, power } from '../src/schedules.ts';
import { scheduleGoldens } from './goldens.ts';

describe('schedules', () => {
  test.each(scheduleGoldens)('$schedule is that of PyTorch within 1e-6', ({ schedule, factors }) => {
    const config = parseOptimizer({ type: 'sgd', learningRate: 0.3, schedule });
    for (const [step, factor] of factors.entries()) {
      expect(Math.abs(learningRateAt(config, step) - 0.3 * factor), `step ${step}`).toBeLessThanOrEqual(
        0.3e-6 * factor,
      );
    }
  });

  test('without one, the learning rate stays', () => {
    const config = parseOptimizer({ type: 'sgd', learningRate: 0.3 });
    for (const step of [0, 1, 1000]) expect(learningRateAt(config, step)).toBe(0.3);
  });

  test('a warm-up climbs to the full height, and a cosine ends at its bottom and stays there', () => {
    const schedule = { type: 'cosine', steps: 20, warmup: 4, minimum: 0.25 };
    const config = parseOptimizer({ type: 'sgd', learningRate: 1, schedule });
    const rates = Array.from({ length: 40 }, (_, step) => learningRateAt(config, step));
    expect(rates.slice(0, 5)).toEqual([0.25, 0.5, 0.75, 1, 1]);
    expect(rates[24]).toBe(0.25);
    expect(new Set(rates.slice(24))).toEqual(new Set([0.25]));
    for (let step = 5; step < 24; step++) expect(rates[step + 1]!).toBeLessThan(rates[step]!);
  });
});

describe('functions that round the same on every engine', () => {
  test('cos(pi x) is within 4 units in the last place of 1', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (x) => {
        expect(Math.abs(cosineOfPi(x) - Math.cos(Math.PI * x))).toBeLessThanOrEqual(4 * 2 ** -53);
      }),
      { numRuns: 2000, seed: 1 },
    );
    expect([0, 0.5, 1].map(cosineOfPi)).toEqual([1, -0, -1].map((value) => value + 0));
  });

  test.each([-0.1, 1.1, Number.NaN])('has no cosine for %s', (x) => {
    expect(() => cosineOfPi(x)).toThrow(`cosine: expected a number from 0 to 1, got ${x}`);
  });

  test('power equals ** but for rounding', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3000), (base, exponent) => {
        const exact = base ** exponent;
        expect(Math.abs(power(base, exponent) - exact)).toBeLessThanOrEqual(Math.max(exact * 1e-12, 1e-300));
      }),
      { numRuns: 500, seed: 1 },
    );
    expect(power(0.999, 0)).toBe(1);
    expect(power(0, 0)).toBe(1);
  });
});
