import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedRate, rateAfter } from '../../src/coordinator/rates.ts';

describe('a rate', () => {
  it('is bounded whatever a worker reports, and does not change without a measurement', () => {
    fc.assert(
      fc.property(fc.double(), fc.integer({ min: 1, max: 10_000 }), fc.double(), (before, samples, computeMs) => {
        const rate = rateAfter(boundedRate(before), samples, computeMs);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(1e6);
        expect(boundedRate(rate)).toBe(rate);
        if (!(computeMs > 0)) expect(rate).toBe(boundedRate(before));
      }),
    );
  });

  it('approaches a rate that is measured again and again', () => {
    let rate = 100;
    for (let result = 0; result < 40; result++) rate = rateAfter(rate, 30, 10);
    expect(rate).toBeCloseTo(3, 1);
  });
});
