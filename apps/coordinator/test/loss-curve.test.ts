/** The curve of a run: bounded, in order, and without losing a sample. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createLossCurve } from '../src/loss-curve.ts';

it('has a point for each step of a short run', () => {
  const curve = createLossCurve();
  curve.add({ step: 0, epoch: 0, count: 4, loss: 2, correct: 1 }, 0.5);
  curve.add({ step: 1, epoch: 0, count: 2, loss: 1, correct: 2 }, 1.25);
  expect(curve.points()).toEqual([
    { steps: 1, seconds: 0.5, loss: 2, accuracy: 0.25 },
    { steps: 2, seconds: 1.25, loss: 1, accuracy: 1 },
  ]);
});

it('stays small, ends at the last step, and keeps the mean over all samples, however long the run', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 9 }), (steps, lastCount) => {
      const curve = createLossCurve();
      const countOf = (step: number): number => (step === steps - 1 ? lastCount : 16);
      for (let step = 0; step < steps; step++) {
        curve.add({ step, epoch: 0, count: countOf(step), loss: step, correct: step % 2 }, step / 10);
      }
      const points = curve.points();
      expect(points.length).toBeLessThanOrEqual(512);
      expect(points.at(-1)).toMatchObject({ steps, seconds: (steps - 1) / 10 });
      let before = 0;
      let lossSum = 0;
      let samples = 0;
      for (const { steps: until, loss } of points) {
        const count = (until - before - 1) * 16 + countOf(until - 1);
        lossSum += loss * count;
        samples += count;
        before = until;
      }
      const expected = ((steps - 1) * (steps - 2) * 16) / 2 + (steps - 1) * lastCount;
      expect(samples).toBe((steps - 1) * 16 + lastCount);
      expect(Math.abs(lossSum - expected)).toBeLessThanOrEqual(1e-9 * Math.max(1, expected));
    }),
  );
});
