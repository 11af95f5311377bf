import { expect, it } from 'vitest';
import { movingAverage } from '../src/record/curve.ts';

it('a moving average begins at its first value, and each new value has the weight of the rate', () => {
  let average: number | undefined;
  const averages = [4, 2, 2, 12].map((value) => {
    average = movingAverage(average, value, 0.25);
    return average;
  });
  expect(averages).toEqual([4, 3.5, 3.125, 5.34375]);
});
