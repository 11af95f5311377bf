import { expect, it } from 'vitest';
import { movingAverage } from '../src/moving-average.ts';

it('a moving average begins at its first value and then moves by its rate', () => {
  const first = movingAverage(undefined, 4, 0.05);
  expect(first).toBe(4);
  expect(movingAverage(first, 2, 0.05)).toBe(4 + 0.05 * -2);
});
