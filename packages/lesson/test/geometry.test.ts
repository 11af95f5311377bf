/** Vectors, dot products, matrix products, tensors, attention. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attention } from '../src/chapters/attention.ts';
import { dotProduct } from '../src/chapters/dot-product.ts';
import { matrixProduct } from '../src/chapters/matrix-product.ts';
import { tensors } from '../src/chapters/tensors.ts';
import { vectors } from '../src/chapters/vectors.ts';
import { openContext } from './context.ts';

describe('vectors', () => {
  test('magnitudes are roots of sums of squares', async () => {
    const { magnitudes } = vectors.result(await openContext());
    for (const { vector, magnitude } of magnitudes) expect(magnitude).toBeCloseTo(Math.hypot(...vector), 5);
  });

  test('random pairs in 768 dimensions are nearly perpendicular, in 2 they are not; more dimensions bring them closer', async () => {
    const { compared, angles } = vectors.result(await openContext());
    const cosines = compared.map(({ meanCosine }) => meanCosine);
    expect(cosines).toEqual(cosines.toSorted((a, b) => b - a));
    expect(cosines[0]).toBeGreaterThan(0.5);
    expect(compared.at(-1)).toMatchObject({ dimensions: 768 });
    expect(cosines.at(-1)).toBeLessThan(0.05);
    expect(angles).toHaveLength(1000);
    expect(angles.every((angle) => Math.abs(angle - 90) < 10)).toBe(true);
  });
});

describe('the dot product', () => {
  test('multiplies number by number, and adds', async () => {
    const { arithmetic } = dotProduct.result(await openContext());
    expect(arithmetic).toEqual({ products: [4, -10, 18], sum: 12 });
  });

  test('is largest in the same direction, 0 at right angles, and as large and negative in the opposite one', async () => {
    const { cases } = dotProduct.result(await openContext());
    expect(cases.map(({ relation }) => relation)).toEqual([
      'form an acute angle',
      'are perpendicular',
      'form an obtuse angle',
    ]);
    const [same, right, opposite] = cases;
    for (const [each, cosine] of [
      [same, 1],
      [right, 0],
      [opposite, -1],
    ] as const) {
      expect(each!.cosine).toBeCloseTo(cosine, 6);
    }
    expect(same!.dotProduct).toBeCloseTo(Math.hypot(2, 1) * 1.5, 5);
    expect(opposite!.dotProduct).toBeCloseTo(-same!.dotProduct, 5);
  });

  test('is the product of both lengths and the cosine of the angle', async () => {
    const context = await openContext();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 180 }), fc.integer({ min: 1, max: 30 }), (angle, tenths) => {
        const { turned } = dotProduct.result(context, { angle, length: tenths / 10 });
        const cosine = Math.cos((angle * Math.PI) / 180);
        expect(turned.cosine).toBeCloseTo(cosine, 5);
        expect(turned.dotProduct).toBeCloseTo((Math.hypot(2, 1) * tenths * cosine) / 10, 4);
        expect(turned.byLengths).toBeCloseTo(turned.dotProduct, 4);
      }),
      { seed: 1, numRuns: 50 },
    );
  });
});

describe('the matrix product', () => {
  test('is a table of dot products', async () => {
    const { product } = matrixProduct.result(await openContext());
    expect(product).toEqual([
      1 * 2 + 2 * 0 + 0 * 1,
      1 * 1 + 2 * 1 + 0 * -1,
      -1 * 2 + 0 * 0 + 3 * 1,
      -1 * 1 + 0 + 3 * -1,
    ]);
  });

  test('takes 64 images through a layer of 784 x 128 at once, and gives what each gets alone', async () => {
    const { shape, differing, refusal } = matrixProduct.result(await openContext());
    expect({ shape, differing, refusal }).toEqual({ shape: [64, 128], differing: 0, refusal: undefined });
  });

  test('refuses inner sizes that differ, and names them', async () => {
    const { shape, refusal } = matrixProduct.result(await openContext(), { inner: 785 });
    expect(shape).toBeUndefined();
    expect(refusal).toMatch(/785.*784/);
  });
});

describe('tensors', () => {
  test('a Transformer works on 12,582,912 numbers at once', async () => {
    const { kinds } = tensors.result(await openContext());
    expect(kinds.find(({ shape }) => shape.length === 3)?.size).toBe(32 * 512 * 768);
  });

  test('[3, 1] and [4] broadcast to [3, 4]', async () => {
    const { sum } = tensors.result(await openContext());
    expect(sum).toEqual({ shape: [3, 4], values: [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23] });
  });

  test.each(tensors.controls.left.names)('%s with each other shape: by the rule, read from the right', async (left) => {
    const context = await openContext();
    const sizes = (name: string): number[] => (name === 'scalar' ? [] : name.split('x').map(Number));
    for (const right of tensors.controls.right.names) {
      const { sum, refusal } = tensors.result(context, { left, right });
      const [a, b] = [sizes(left).toReversed(), sizes(right).toReversed()];
      const axes = Array.from({ length: Math.max(a.length, b.length) }, (_, axis) => [a[axis] ?? 1, b[axis] ?? 1]);
      const fits = axes.every(([x, y]) => x === y || x === 1 || y === 1);
      expect(sum?.shape, `${left}, ${right}`).toEqual(
        fits ? axes.map(([x, y]) => Math.max(x!, y!)).toReversed() : undefined,
      );
      expect(refusal === undefined, `${left}, ${right}`).toBe(fits);
    }
  });
});

describe('attention', () => {
  test.each([
    ['it', 'cat'],
    ['slept', 'cat'],
    ['cat', 'slept'],
  ] as const)('the query of "%s" finds the key of "%s", and takes its value', async (token, looksAt) => {
    const { asked } = attention.result(await openContext(), { token });
    expect(asked.looksAt).toBe(looksAt);
    expect(asked.weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
    expect(Math.max(...asked.weights)).toBeGreaterThan(0.7);
    expect(asked.products.indexOf(Math.max(...asked.products))).toBe(asked.weights.indexOf(Math.max(...asked.weights)));
    const value = looksAt === 'cat' ? 0 : 1;
    expect(asked.result[value]).toBeGreaterThan(0.7);
    expect(asked.result[1 - value]).toBeLessThan(0.1);
  });

  test('without the scale the softmax saturates and its gradient dies; divided by the root of d neither does', async () => {
    const { scaled, plain } = attention.result(await openContext());
    expect(plain.spread).toBeGreaterThan(15);
    expect(scaled.spread).toBeGreaterThan(0.8);
    expect(scaled.spread).toBeLessThan(1.2);
    expect(plain.largestScore).toBeGreaterThan(60);
    expect(plain.largest).toBeGreaterThan(0.9);
    expect(scaled.largest).toBeLessThan(0.4);
    expect(plain.medianGradient).toBeLessThan(scaled.medianGradient / 10);
  });

  test('the weights of each query add up to 1', async () => {
    const { weights } = attention.result(await openContext(), { scale: '1' }).shown;
    for (let row = 0; row < 24; row++) {
      expect(weights.subarray(row * 24, (row + 1) * 24).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
    }
  });
});
