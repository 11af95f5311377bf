import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedRate, speedAfter } from '../../src/coordinator/track-record.ts';

const anyMs = fc.double({ min: 0, max: 1e9, noNaN: true });

describe('a speed', () => {
  it('is bounded whatever a worker reports, and has the rate of before without a measurement', () => {
    fc.assert(
      fc.property(
        fc.record({ samplesPerMs: fc.double().map(boundedRate), overheadMs: anyMs }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.double(),
        anyMs,
        (before, samples, computeMs, totalMs) => {
          const { samplesPerMs, overheadMs } = speedAfter(before, { samples, computeMs, totalMs });
          expect(samplesPerMs).toBeGreaterThanOrEqual(0);
          expect(samplesPerMs).toBeLessThanOrEqual(1e6);
          expect(boundedRate(samplesPerMs)).toBe(samplesPerMs);
          if (!(computeMs > 0)) expect(samplesPerMs).toBe(before.samplesPerMs);
          expect(overheadMs).toBeGreaterThanOrEqual(0);
          expect(overheadMs).toBeLessThanOrEqual(Math.max(before.overheadMs, totalMs));
        },
      ),
    );
  });

  it('explains in the long run how long results take, whatever part of that the worker calls computing', () => {
    for (const computeMs of [1, 5, 20]) {
      let speed = { samplesPerMs: 100, overheadMs: 0 };
      for (let result = 0; result < 100; result++) speed = speedAfter(speed, { samples: 30, computeMs, totalMs: 20 });
      expect(speed.samplesPerMs).toBeCloseTo(30 / computeMs, 1);
      expect(30 / speed.samplesPerMs + speed.overheadMs).toBeCloseTo(20, 1);
    }
  });

  it('forgets one long stall', () => {
    let speed = speedAfter({ samplesPerMs: 10, overheadMs: 0 }, { samples: 10, computeMs: 1, totalMs: 5_000 });
    expect(speed.overheadMs).toBeGreaterThan(100);
    for (let result = 0; result < 60; result++) {
      speed = speedAfter(speed, { samples: 10, computeMs: 1, totalMs: 1 });
    }
    expect(speed.overheadMs).toBeLessThan(1);
  });
});
