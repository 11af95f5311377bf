/** Checks the image rendered from a drawing, and the probabilities computed from logits. */
import { classField, scaledField, valueField } from '@lockstep/data';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { digitImage, digitSize, type Point, type Stroke, takesDrawings } from '../src/draw/digit-image.ts';
import { softmaxAt } from '../src/draw/predictor.ts';
import { canvas, digits } from './digits.ts';

/** Returns the center of mass, relative to the middle of the image. */
function centerOfMass(image: Uint8Array): Point {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, at) => {
    mass += ink;
    x += ink * ((at % digitSize) + 0.5);
    y += ink * (Math.floor(at / digitSize) + 0.5);
  });
  return { x: x / mass - digitSize / 2, y: y / mass - digitSize / 2 };
}

function inkedSize(image: Uint8Array): { width: number; height: number } {
  const inked = [...image.keys()].filter((at) => image[at]! > 0);
  const [columns, rows] = [inked.map((at) => at % digitSize), inked.map((at) => Math.floor(at / digitSize))];
  return {
    width: Math.max(...columns) - Math.min(...columns) + 1,
    height: Math.max(...rows) - Math.min(...rows) + 1,
  };
}

const transform = (strokes: readonly Stroke[], scale: number, dx: number, dy: number): Stroke[] =>
  strokes.map((stroke) => stroke.map(({ x, y }) => ({ x: x * scale + dx, y: y * scale + dy })));

describe('the image', () => {
  test.each(digits.map((strokes, digit) => ({ strokes, digit })))(
    'of a $digit fills the box of 20 and is centered by mass',
    ({ strokes }) => {
      const image = digitImage(strokes, canvas);
      const { width, height } = inkedSize(image);
      expect(Math.max(width, height)).toBeGreaterThanOrEqual(20);
      expect(Math.max(width, height)).toBeLessThanOrEqual(22);
      const center = centerOfMass(image);
      expect(Math.abs(center.x)).toBeLessThan(0.25);
      expect(Math.abs(center.y)).toBeLessThan(0.25);
    },
  );

  it('does not depend on the place and size of the drawing', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...digits),
        fc.double({ min: 0.25, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (strokes, scale, dx, dy) => {
          const slack = canvas * (1 - scale);
          const expected = digitImage(strokes, canvas);
          const got = digitImage(transform(strokes, scale, dx * slack, dy * slack), canvas);
          const differences = got.map((ink, at) => Math.abs(ink - expected[at]!));
          expect(Math.max(...differences)).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 50, seed: 1 },
    );
  });

  it('of a dot is a dot in the middle, and of no strokes is empty', () => {
    const dot = digitImage([[{ x: 10, y: 90 }]], canvas);
    const { width, height } = inkedSize(dot);
    expect(Math.max(width, height)).toBeLessThanOrEqual(4);
    expect(centerOfMass(dot)).toEqual({ x: 0, y: 0 });
    expect(digitImage([], canvas).every((ink) => ink === 0)).toBe(true);
  });
});

describe('softmax', () => {
  it('sums to one, keeps the order, and flattens as the temperature rises', () => {
    const logits = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 2, maxLength: 10 });
    fc.assert(
      fc.property(logits, fc.double({ min: 0.25, max: 8, noNaN: true }), (values, temperature) => {
        const cool = softmaxAt(values, temperature);
        const warm = softmaxAt(values, temperature * 2);
        expect(cool.reduce((sum, probability) => sum + probability, 0)).toBeCloseTo(1, 10);
        expect(cool[values.indexOf(Math.max(...values))]).toBe(Math.max(...cool));
        expect(Math.max(...warm)).toBeLessThanOrEqual(Math.max(...cool) + 1e-12);
      }),
      { seed: 1 },
    );
  });
});

const digitRun = { sampleField: scaledField([28, 28, 1]), targetField: classField, outputs: 10 };

test.each([
  ['an unknown run', undefined, true],
  ['digits', digitRun, true],
  ['color', { ...digitRun, sampleField: scaledField([28, 28, 3]) }, false],
  ['floats', { ...digitRun, sampleField: valueField([28, 28, 1]) }, false],
  ['values', { ...digitRun, targetField: valueField([1]) }, false],
  ['other classes', { ...digitRun, outputs: 5 }, false],
])('a run is drawn for: %s', (_, run, isDrawnFor) => {
  expect(takesDrawings(run as Parameters<typeof takesDrawings>[0])).toBe(isDrawnFor);
});
