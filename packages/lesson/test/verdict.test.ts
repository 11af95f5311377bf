/** The words with which chapters judge training, as a table of evidence and verdicts; and the axes of bars. */

import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { barAxis, barOn } from '../src/exhibit.ts';
import { hasDiverged, rateVerdictOf, type Verdict, verdictOf } from '../src/verdict.ts';

const tenClasses = { chance: 0.1 };

describe('a verdict on training', () => {
  test.each<[string, Parameters<typeof verdictOf>[0], Verdict]>([
    ['the loss barely moves', { losses: [1.015, 1.0] }, 'hardly learns'],
    ['the loss falls by less than half', { losses: [1, 0.51] }, 'hardly learns'],
    ['the loss is halved', { losses: [1, 0.8, 0.5] }, 'learns'],
    ['the loss reaches 0', { losses: [1, 0] }, 'learns'],
    ['no step changes the loss', { losses: [1, 1, 1] }, 'is dead'],
    ['the loss ends where it began', { losses: [1, 0.9, 1] }, 'learns nothing'],
    ['the loss ends slightly above its start', { losses: [1, 1.04] }, 'learns nothing'],
    ['the loss ends above its start', { losses: [1, 1.2] }, 'diverges'],
    ['a loss is infinite', { losses: [1, Number.POSITIVE_INFINITY, 0.1] }, 'diverges'],
    ['a loss is NaN', { losses: [1, Number.NaN] }, 'diverges'],
    [
      'accuracy at chance',
      { losses: [2.3, 2.3, 2.35], accuracy: { ...tenClasses, train: 0.1, test: 0.101 } },
      'learns nothing',
    ],
    [
      'accuracy near chance',
      { losses: [2.3, 2.1], accuracy: { ...tenClasses, train: 0.18, test: 0.18 } },
      'learns nothing',
    ],
    ['test near chance only', { losses: [2.3, 2.1], accuracy: { ...tenClasses, test: 0.15 } }, 'learns nothing'],
    ['half right', { losses: [2.3, 1.5], accuracy: { ...tenClasses, train: 0.5, test: 0.5 } }, 'underfits'],
    ['half right, no gap', { losses: [2.3, 1.5], accuracy: { ...tenClasses, train: 0.81, test: 0.81 } }, 'underfits'],
    ['training far ahead', { losses: [2.3, 0.1], accuracy: { ...tenClasses, train: 1, test: 0.8 } }, 'overfits'],
    ['both close', { losses: [2.3, 0.2], accuracy: { ...tenClasses, train: 0.95, test: 0.94 } }, 'generalizes'],
    ['test ahead', { losses: [2.3, 0.2], accuracy: { ...tenClasses, train: 0.93, test: 0.936 } }, 'generalizes'],
    [
      'high accuracy but a diverged loss',
      { losses: [2.3, 9], accuracy: { ...tenClasses, train: 0.95, test: 0.94 } },
      'diverges',
    ],
    ['two of four in XOR', { losses: [0.8, 0.69], accuracy: { chance: 0.5, train: 0.5 } }, 'learns nothing'],
    ['three of four in XOR', { losses: [0.8, 0.48], accuracy: { chance: 0.5, train: 0.75 } }, 'underfits'],
    ['four of four in XOR', { losses: [0.8, 0.01], accuracy: { chance: 0.5, train: 1 } }, 'learns'],
  ])('%s', (_, evidence, expected) => {
    expect(verdictOf(evidence)).toBe(expected);
  });

  test('never praises a network near chance, or one whose loss has diverged', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    const losses = fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(losses, part, part, fc.constantFrom(0.1, 0.5), (all, train, test, chance) => {
        const verdict = verdictOf({ losses: all, accuracy: { chance, train, test } });
        if (verdict === 'generalizes') expect(test).toBeGreaterThan(chance + 0.7 * (1 - chance));
        if (verdict === 'overfits') expect(train).toBeGreaterThan(test);
        expect(verdict === 'diverges').toBe(hasDiverged(all));
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  test('is made here only: no other source has its words', () => {
    const folder = new URL('../src/', import.meta.url);
    const words =
      /'(diverges|is dead|learns nothing|hardly learns|underfits|overfits|generalizes|too large|too small|about right)'/;
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const own = files.filter((name) => words.test(readFileSync(new URL(name, folder), 'utf8')));
    expect(own).toEqual(['verdict.ts']);
  });
});

/** Walks down a parabola along each axis: a step multiplies the place by 1 - rate x curvature. */
function walk(rate: number, steps: number, start = [3, 2], curvature = [1, 8]) {
  const places = Array.from({ length: steps + 1 }, (_, step) =>
    start.map((from, axis) => from * (1 - rate * curvature[axis]!) ** step),
  );
  return {
    losses: places.map((place) => place.reduce((sum, value, axis) => sum + (curvature[axis]! * value ** 2) / 2, 0)),
    gradients: places.map((place) => place.map((value, axis) => curvature[axis]! * value)),
  };
}

describe('a verdict on a learning rate', () => {
  test.each([
    ['0.001 for 60 steps', walk(0.001, 60), 'too small'],
    ['0.001 for 5 steps', walk(0.001, 5), 'too small'],
    ['0.1', walk(0.1, 60), 'about right'],
    ['0.2 for 5 steps: fast, and on alternating sides', walk(0.2, 5), 'about right'],
    ['0.25: from one side to the other forever', walk(0.25, 60), 'too large'],
    ['0.3', walk(0.3, 17), 'too large'],
    ['1', walk(1, 5), 'too large'],
    ['0.3 along the flat axis alone', walk(0.3, 60, [3, 0]), 'about right'],
    ['any, from the bottom', walk(0.7, 60, [0, 0]), 'without effect, since the slope is 0'],
    ['a loss that is no number', { losses: [1, Number.NaN], gradients: [[1], [1]] }, 'too large'],
    ['a loss that jumps around', { losses: [9, 2, 4, 2, 4], gradients: [[5], [-4], [4], [-4], [4]] }, 'too large'],
  ])('%s', (_, { losses, gradients }, expected) => {
    expect(rateVerdictOf(losses, gradients)).toBe(expected);
  });

  test('is too large above 2 over the curvature, and below it never once enough steps are taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 1000 }), (thousandth) => {
        const rate = thousandth / 1000;
        fc.pre(Math.abs(rate - 0.25) > 0.01);
        const { losses, gradients } = walk(rate, 200);
        expect(rateVerdictOf(losses, gradients)).toBe(rate > 0.25 ? 'too large' : 'about right');
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

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
