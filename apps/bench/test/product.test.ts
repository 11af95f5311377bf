/** The work of the matmul question: dense operands, their true product, and its judge. */
import { expect, test } from 'vitest';
import { denseProduct, floatingPointOperations, productJudge, trueProduct } from '../src/work/product.ts';

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
  expect([...trueProduct(work)]).toEqual([58, 64, 139, 154]);
  expect(floatingPointOperations(work)).toBe(24);
});

test('the judge accepts the rounded product, and neither a wrong value nor a transposed or missing one', () => {
  const work = denseProduct(4, 5, 4);
  const truth = trueProduct(work);
  const judge = productJudge(work);
  expect(judge(Float32Array.from(truth)).distance).toBeLessThan(1e-6);
  expect(judge(Float32Array.from(truth)).figure).toBeCloseTo(Math.hypot(...truth), 5);
  const wrong = Float32Array.from(truth);
  wrong[5]! += 0.01;
  expect(judge(wrong).distance).toBeGreaterThan(1e-3);
  expect(
    judge(Float32Array.from(truth, (_, index) => truth[(index % 4) * 4 + (index >> 2)]!)).distance,
  ).toBeGreaterThan(0.1);
  expect(judge(new Float32Array(3)).distance).toBe(Number.POSITIVE_INFINITY);
});
