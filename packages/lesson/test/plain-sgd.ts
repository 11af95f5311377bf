/** The training loop with the settings that it begins with, from any seed. */
import { expect } from 'vitest';
import { trainingLoop } from '../src/chapters/training-loop.ts';
import { openDigits } from './context.ts';

export async function plainSgdGeneralizes(seed: number): Promise<void> {
  const { results, steps, images, verdict } = trainingLoop.result(await openDigits(), { seed });
  expect(verdict).toBe('generalizes');
  expect(images).toBe(60_000);
  expect(steps).toBe(4 * 938);
  expect(Math.abs(results[0]!.test.accuracy - 0.1)).toBeLessThan(0.06);
  const { train, test: measured } = results.at(-1)!;
  expect(measured.accuracy).toBeGreaterThanOrEqual(0.936);
  expect(Math.abs(train.accuracy - measured.accuracy)).toBeLessThan(0.02);
}
