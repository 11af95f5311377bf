/** The statistics behind every figure of the bench. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { median, pairedRatios, relativeDistance, spread } from '../src/harness.ts';

const milliseconds = fc.double({ min: 1e-3, max: 1e6, noNaN: true });
const measurements = fc.array(milliseconds, { minLength: 1, maxLength: 40 });

describe('median', () => {
  test('takes the middle, or the mean of the two in the middle', () => {
    expect(median([3])).toBe(3);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 2, 4, 100])).toBe(7);
    expect(() => median([])).toThrow('median: at least one value expected, got none');
  });

  test('leaves as many values above as below, whatever their order', () => {
    fc.assert(
      fc.property(measurements, (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(below).toBeLessThanOrEqual(values.length / 2);
        expect(above).toBeLessThanOrEqual(values.length / 2);
        expect(median([...values].reverse())).toBe(middle);
      }),
    );
  });

  test('is not moved by an outlier, however large', () => {
    fc.assert(
      fc.property(fc.array(milliseconds, { minLength: 3, maxLength: 39 }), milliseconds, (values, extra) => {
        const odd = values.length % 2 === 1 ? values : [...values, extra];
        const sorted = [...odd].sort((left, right) => left - right);
        const disturbed = [...sorted.slice(0, -1), sorted.at(-1)! * 1e6];
        expect(median(disturbed)).toBe(median(odd));
      }),
    );
  });

  test('does not reorder what it is given', () => {
    const values = Object.freeze([3, 1, 2]);
    expect(median(values)).toBe(2);
    expect(values).toEqual([3, 1, 2]);
  });
});

test('a spread holds its median between its ends, and both ends were measured', () => {
  fc.assert(
    fc.property(measurements, (values) => {
      const { min, median: middle, max } = spread(values);
      expect(min).toBeLessThanOrEqual(middle);
      expect(middle).toBeLessThanOrEqual(max);
      expect(values).toContain(min);
      expect(values).toContain(max);
    }),
  );
});

describe('paired ratios', () => {
  test('of a candidate against itself are 1', () => {
    fc.assert(
      fc.property(measurements, (values) => {
        expect(new Set(pairedRatios(values, values))).toEqual(new Set([1]));
      }),
    );
  });

  test('do not see what slows a whole round', () => {
    // Powers of two keep the products exact, so that the test can require equality instead of closeness.
    const slowdown = fc.integer({ min: 0, max: 6 }).map((exponent) => 2 ** exponent);
    fc.assert(
      fc.property(fc.array(fc.tuple(milliseconds, milliseconds, slowdown), { minLength: 1 }), (rounds) => {
        const calm = pairedRatios(
          rounds.map(([value]) => value),
          rounds.map(([, baseline]) => baseline),
        );
        const disturbed = pairedRatios(
          rounds.map(([value, , factor]) => value * factor),
          rounds.map(([, baseline, factor]) => baseline * factor),
        );
        expect(disturbed).toEqual(calm);
      }),
    );
  });

  test('say that twice the time is a ratio of 2, and refuse rounds without a partner', () => {
    expect(pairedRatios([2, 6], [1, 3])).toEqual([2, 2]);
    expect(() => pairedRatios([1, 2], [1])).toThrow('as many values as baselines expected, got 2 and 1');
  });
});

describe('relative distance', () => {
  test('is 0 for equals, scales with the error and has no unit', () => {
    expect(relativeDistance([3, 4], [3, 4])).toBe(0);
    expect(relativeDistance([3, 5], [3, 4])).toBeCloseTo(0.2, 12);
    expect(relativeDistance([300, 500], [300, 400])).toBeCloseTo(0.2, 12);
    expect(relativeDistance([0, 0], [0, 0])).toBe(0);
  });

  test('is infinite where nothing can be compared', () => {
    expect(relativeDistance([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDistance([Number.NaN], [1])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDistance([1], [0])).toBe(Number.POSITIVE_INFINITY);
  });
});
