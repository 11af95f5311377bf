import type { StepResult } from '@lockstep/compute';
import { classField } from '@lockstep/data';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CurvePoint, movingAverage, Throughput, TrainingCurve } from '../src/curve.ts';

it('has a point for each step of a short run', () => {
  const curve = new TrainingCurve(classField);
  curve.add({ step: 0, epoch: 0, count: 4, loss: 2, correct: 1 }, 0.5);
  curve.add({ step: 1, epoch: 0, count: 2, loss: 1, correct: 2 }, 1.25);
  expect(curve.points()).toEqual([
    { steps: 1, seconds: 0.5, loss: 2, accuracy: 0.25 },
    { steps: 2, seconds: 1.25, loss: 1, accuracy: 1 },
  ]);
});

it('stays bounded, ends at the last step, and keeps the mean over all samples, however long the run', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 9 }), (steps, lastCount) => {
      const curve = new TrainingCurve(classField);
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

const stepOf = (step: number, loss = 1): StepResult => ({ step, epoch: 0, loss, correct: 1, count: 2 });
const stepsOf = (points: readonly CurvePoint[]): number[] => points.map(({ steps }) => steps);

it('has no gap between its points, in order, however long the run', () => {
  const curve = new TrainingCurve(classField, undefined, 2_000);
  const steps = 40_000;
  for (let step = 0; step < steps; step++) curve.add(stepOf(step, step % 7), step);
  const points = curve.points();
  const at = stepsOf(points);
  // Two thousand points of one step become a thousand of two, and so on.
  expect(at).toEqual(Array.from({ length: 1_250 }, (_, point) => 32 * (point + 1)));
  expect(at.at(-1)).toBe(steps);
  const mean = points.reduce((sum, { loss }) => sum + loss, 0) / points.length;
  expect(mean).toBeCloseTo(3, 1);
});

it('gives the points after a step, a bounded number of them however early that was', () => {
  const curve = new TrainingCurve(classField, undefined, 2_000);
  for (let step = 0; step < 3; step++) curve.add(stepOf(step), step);
  expect(stepsOf(curve.pointsAfter(0))).toEqual([1, 2, 3]);
  expect(stepsOf(curve.pointsAfter(3))).toEqual([]);
  curve.add(stepOf(3), 3);
  expect(stepsOf(curve.pointsAfter(3))).toEqual([4]);
  for (let step = 4; step < 50_000; step++) curve.add(stepOf(step), step);
  const late = stepsOf(curve.pointsAfter(4));
  expect(late.length).toBeLessThanOrEqual(2_000);
  // Every complete point of 32 steps, from the first that includes a new step.
  expect(late).toEqual(stepsOf(curve.points()).filter((steps) => steps % 32 === 0));
  expect(late.slice(0, 2)).toEqual([32, 64]);
  for (let step = 50_000; step < 50_100; step++) curve.add(stepOf(step), step);
  expect(stepsOf(curve.pointsAfter(late.at(-1)!))).toEqual([50_016, 50_048, 50_080]);
});

it('goes on from its state as if it had not been interrupted, at any step', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000 }), fc.nat(3_000), (steps, cut) => {
      const [whole, first] = [
        new TrainingCurve(classField, undefined, 64),
        new TrainingCurve(classField, undefined, 64),
      ];
      const addTo = (curve: TrainingCurve, from: number, to: number): void => {
        for (let step = from; step < to; step++) curve.add(stepOf(step, step % 7), step);
      };
      addTo(whole, 0, steps);
      addTo(first, 0, Math.min(cut, steps));
      const state = first.state();
      // Later steps must not change the state, which is a copy.
      addTo(first, Math.min(cut, steps), steps);
      const second = new TrainingCurve(classField, state, 64);
      addTo(second, Math.min(cut, steps), steps);
      expect(second.points()).toEqual(whole.points());
    }),
  );
});

/** Within 10 %: the window begins at a mark, and marks are up to a fifth of a second apart. */
function expectNear(value: number, expected: number): void {
  expect(Math.abs(value - expected)).toBeLessThan(expected / 10);
}

describe('throughput', () => {
  it('is that of the last few seconds, and falls to 0 if no step is taken', () => {
    let now = 0;
    const throughput = new Throughput(() => now);
    expect(throughput.perSecond()).toBe(0);
    for (; now < 10_000; now += 100) throughput.add(10);
    expectNear(throughput.perSecond(), 100);
    for (; now < 20_000; now += 100) throughput.add(40);
    expectNear(throughput.perSecond(), 400);
    now += 60_000;
    expect(throughput.perSecond()).toBe(0);
  });
});

it('a moving average begins at its first value, and each new value has the weight of the rate', () => {
  let average: number | undefined;
  const averages = [4, 2, 2, 12].map((value) => {
    average = movingAverage(average, value, 0.25);
    return average;
  });
  expect(averages).toEqual([4, 3.5, 3.125, 5.34375]);
});
