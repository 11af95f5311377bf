/** The work of the benchmark `matmul`: dense operands, and the check of their product. */
import { expect, test } from 'vitest';
import { denseProduct, floatingPointOperations, productDistance } from '../src/cases/steps.ts';

test('operands are dense, within ±1, and the same each time', () => {
  const work = denseProduct(13, 17, 11);
  for (const value of [...work.left, ...work.right]) {
    expect(value).not.toBe(0);
    expect(Math.abs(value)).toBeLessThan(1);
  }
  expect(work.left).toHaveLength(13 * 17);
  expect(work.right).toHaveLength(17 * 11);
  expect(denseProduct(13, 17, 11)).toEqual(work);
});

test('the product is that of the definition, and a multiplication and an addition are two operations', () => {
  const work = {
    m: 2,
    k: 3,
    n: 2,
    left: Float32Array.of(1, 2, 3, 4, 5, 6),
    right: Float32Array.of(7, 8, 9, 10, 11, 12),
  };
  expect(productDistance(work)(Float32Array.of(58, 64, 139, 154))).toBe(0);
  expect(floatingPointOperations(work)).toBe(24);
});

test('the check accepts the rounded product, and neither a wrong value nor a transposed or missing one', () => {
  const work = { m: 2, k: 1, n: 2, left: Float32Array.of(1 / 3, 2), right: Float32Array.of(5, 1 / 7) };
  const distance = productDistance(work);
  const exact = [Math.fround(1 / 3) * 5, Math.fround(1 / 3) * Math.fround(1 / 7), 10, 2 * Math.fround(1 / 7)];
  const rounded = Float32Array.from(exact);
  expect(distance(rounded)).toBeLessThan(1e-6);
  const wrong = rounded.slice();
  wrong[3]! += 0.1;
  expect(distance(wrong)).toBeGreaterThan(1e-3);
  const [topLeft, topRight, bottomLeft, bottomRight] = rounded as unknown as readonly [number, number, number, number];
  expect(distance(Float32Array.of(topLeft, bottomLeft, topRight, bottomRight))).toBeGreaterThan(0.1);
  expect(distance(new Float32Array(3))).toBe(Number.POSITIVE_INFINITY);
});
