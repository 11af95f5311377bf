/** Figures derived from reports: rates, time to an accuracy, distances of curves, speed-ups. */
import type { CurvePoint } from '@lockstep/train';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { steadyMsPerStep } from '../src/compare/measure.ts';
import { curveDistance, speedUps, stepPartsOf, timeTo } from '../src/compare/results.ts';

const point = (steps: number, seconds: number, accuracy = 0, loss = 1): CurvePoint => ({
  steps,
  seconds,
  loss,
  accuracy,
});

describe('milliseconds a step', () => {
  test('leave out a slow start', () => {
    const curve = [point(1, 5), ...Array.from({ length: 19 }, (_, index) => point(index + 2, 5 + (index + 1) * 0.01))];
    expect(steadyMsPerStep({ curve })).toBeCloseTo(10, 9);
  });

  test('leave out a pause, as an evaluation is', () => {
    let seconds = 0;
    const curve = Array.from({ length: 100 }, (_, index) => {
      seconds += index === 80 ? 3 : 0.01;
      return point(index + 1, seconds);
    });
    expect(steadyMsPerStep({ curve })).toBeCloseTo(10, 9);
  });

  test('are those of the whole run where it has only two points', () => {
    expect(steadyMsPerStep({ curve: [point(1, 1), point(2, 1.5)] })).toBeCloseTo(500, 9);
  });

  test('of points that stand for several steps are still those of one', () => {
    const curve = Array.from({ length: 50 }, (_, index) => point((index + 1) * 8, (index + 1) * 0.08));
    expect(steadyMsPerStep({ curve })).toBeCloseTo(10, 9);
  });

  test('need two points', () => {
    expect(() => steadyMsPerStep({ curve: [point(1, 1)] })).toThrow('expected at least two points, got 1');
  });
});

describe('time to an accuracy', () => {
  test('is that of the first step whose last thousand samples are right so often', () => {
    // Batches of 500: a single lucky batch does not count.
    const curve = [point(1, 0.1, 0.1), point(2, 0.2, 0.9), point(3, 0.3, 0.6), point(4, 0.4, 0.8), point(5, 0.5, 0.9)];
    expect(timeTo(0.8, curve, 500)).toEqual({ steps: 5, seconds: 0.5 });
    expect(timeTo(0.7, curve, 500)).toEqual({ steps: 3, seconds: 0.3 });
    expect(timeTo(0.95, curve, 500)).toBeUndefined();
  });

  test('is never earlier for a higher accuracy', () => {
    const curves = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(curves, fc.integer({ min: 1, max: 3_000 }), (accuracies, batch) => {
        const curve = accuracies.map((accuracy, index) => point(index + 1, index + 1, accuracy));
        const [low, high] = [timeTo(0.4, curve, batch), timeTo(0.6, curve, batch)];
        if (high !== undefined) expect(low!.steps).toBeLessThanOrEqual(high.steps);
      }),
    );
  });
});

test('curves are compared at equal steps only', () => {
  const curve = [point(1, 1, 0, 2), point(2, 2, 0, 1)];
  expect(curveDistance(curve, [point(1, 9, 0, 2), point(2, 99, 0, 1.25)])).toBe(0.25);
  expect(curveDistance(curve, [point(1, 1, 0, 2)])).toBe(Number.POSITIVE_INFINITY);
  expect(curveDistance(curve, [point(1, 1, 0, 2), point(3, 2, 0, 1)])).toBe(Number.POSITIVE_INFINITY);
});

test('speed-ups are taken round by round, over the rounds that a candidate took part in', () => {
  expect(speedUps([5, 10, 20], [10, 20, 40])).toEqual({ median: 2, min: 2, max: 2 });
  expect(speedUps([5, 40], [10, 20, 1])).toEqual({ median: 1.25, min: 0.5, max: 2 });
});

test('parts of a step are medians over rounds', () => {
  const times = (ms: number) => ({
    steps: 9,
    stepMs: 6 * ms,
    packMs: ms,
    sendMs: ms,
    computeMs: 2 * ms,
    waitMs: 0,
    reduceMs: ms,
    optimizerMs: ms,
  });
  expect(stepPartsOf([times(1), times(5), times(2)])).toEqual({
    compute: 4,
    pack: 2,
    send: 2,
    wait: 0,
    reduce: 2,
    optimizer: 2,
  });
});
