/** Checks that the length of bars can be read: their axis has round ends, and contains 0. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { barAxis, barOn } from '../src/exhibit.ts';

const barsOf = (values: readonly number[]) => values.map((value) => ({ label: '', value, text: '' }));

test.each([
  { what: 'probabilities end at 100 %', values: [0.4963], areProbabilities: true, ends: ['0 %', '100 %'] },
  { what: 'a number below 1 does not fill its track', values: [0.895, 0.2], ends: ['0', '1'] },
  { what: 'negative numbers have their side of 0', values: [-1.32, 1.81], ends: ['-1.5', '2'] },
  { what: 'negative numbers alone end at 0', values: [-30, -2], ends: ['-30', '0'] },
  { what: 'nothing but 0 has an axis', values: [0, 0], ends: ['0', '1'] },
  { what: 'what is not finite has no bar', values: [Number.NaN, Number.NEGATIVE_INFINITY, 7], ends: ['0', '8'] },
  { what: 'tiny and huge numbers have round ends', values: [1.2e-7, -4.5e12], ends: ['-5.00e+12', '1.50e-7'] },
])('$what', ({ values, areProbabilities = false, ends }) => {
  const { fromText, toText } = barAxis({ bars: barsOf(values), areProbabilities });
  expect([fromText, toText]).toEqual(ends);
});

test('a bar lies on the axis, begins or ends at 0, and is as long as its value is large', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1e9, max: 1e9 }), { minLength: 1, maxLength: 20 }), (values) => {
      const axis = barAxis({ bars: barsOf(values) });
      const zero = barOn(axis, 0).start;
      for (const value of values) {
        const { start, length } = barOn(axis, value);
        expect(start).toBeGreaterThanOrEqual(-1e-9);
        expect(start + length).toBeLessThanOrEqual(1 + 1e-9);
        const size = Number.isFinite(value) ? Math.abs(value) : 0;
        expect(length * (axis.to - axis.from)).toBeCloseTo(size, 5);
        expect(value < 0 ? start + length : start).toBeCloseTo(zero, 9);
      }
    }),
    { seed: 1 },
  );
});
