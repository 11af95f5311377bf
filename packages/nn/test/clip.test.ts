import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clipFactor, sumOfSquares } from '../src/optimizer.ts';
import { clipGoldens } from './goldens.ts';

describe('clipping by norm', () => {
  test.each(clipGoldens)(
    'to $clipNorm gives the numbers of clip_grad_norm_ within 1e-6',
    ({ clipNorm, before, after }) => {
      const factor = clipFactor(Float32Array.from(before), 1, clipNorm);
      for (const [index, value] of before.entries()) {
        expect(Math.abs(value * factor - after[index]!)).toBeLessThanOrEqual(1e-6 * Math.abs(after[index]!));
      }
    },
  );

  test('a sum over samples is clipped by the norm of their mean', () => {
    const sum = Float32Array.of(30, -40);
    expect(clipFactor(sum, 10, 1)).toBeCloseTo(1 / 5, 6);
    expect(clipFactor(sum, 100, 1)).toBe(1);
  });

  test('every element counts once, whatever the length', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }), (values) => {
        const exact = values.reduce((sum, value) => sum + value * value, 0);
        expect(sumOfSquares(Float32Array.from(values))).toBe(exact);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});
