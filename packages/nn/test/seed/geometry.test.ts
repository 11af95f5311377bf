/** "Almost all pairs of random vectors are nearly perpendicular"; matrices map many vectors at once; attention's scaling. */
import {
  cosineSimilarity,
  div,
  fromArray,
  matmul,
  max,
  mean,
  normal,
  permute,
  softmax,
  sum,
  type Tensor,
  valueAndGrad,
} from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { openHost } from './fit.ts';

describe('vectors', () => {
  test('random pairs in 768 dimensions are nearly perpendicular, in 2 they are not', async () => {
    const backend = await openHost();
    const meanCosine = async (dimensions: number) => {
      const [left, right] = [1, 2].map((seed) => normal(backend, [500, dimensions], seed)) as [Tensor, Tensor];
      const cosines = await cosineSimilarity(left, right).values();
      return cosines.reduce((total, value) => total + Math.abs(value), 0) / cosines.length;
    };
    expect(await meanCosine(768)).toBeLessThan(0.05);
    expect(await meanCosine(2)).toBeGreaterThan(0.5);
  });

  test('cosine similarity is 1 in the same direction, 0 at right angles, -1 in opposite directions, at any length', async () => {
    const backend = await openHost();
    const left = fromArray(backend, [3, 4, 3, 4, 3, 4], [3, 2]);
    const right = fromArray(backend, [30, 40, -8, 6, -0.3, -0.4], [3, 2]);
    const cosines = await cosineSimilarity(left, right).values();
    for (const [index, expected] of [1, 0, -1].entries()) expect(cosines[index]).toBeCloseTo(expected, 6);
  });
});

describe('products of many axes', () => {
  const [batch, length, size] = [32, 512, 64];

  test('(32, 512, 64) by (32, 64, 512) gives scores (32, 512, 512), each batch by itself', async () => {
    const backend = await openHost();
    const queries = normal(backend, [batch, length, size], 1);
    const keys = normal(backend, [batch, length, size], 2);
    const scores = matmul(queries, permute(keys, [0, 2, 1]));
    expect(scores.shape).toEqual([batch, length, length]);
    const [q, k, s] = await Promise.all([queries.values(), keys.values(), scores.values()]);
    for (const [b, i, j] of [
      [0, 0, 0],
      [3, 17, 511],
      [31, 511, 1],
    ] as const) {
      let expected = 0;
      for (let d = 0; d < size; d++) expected += q[(b * length + i) * size + d]! * k[(b * length + j) * size + d]!;
      expect(s[(b * length + i) * length + j]).toBeCloseTo(expected, 3);
    }
  });

  test('(32, 512, 64) by one (64, 10): the matrix serves every batch', async () => {
    const backend = await openHost();
    const x = normal(backend, [batch, length, size], 1);
    const weight = normal(backend, [size, 10], 2);
    expect(matmul(x, weight).shape).toEqual([batch, length, 10]);
  });
});

describe('scaled dot-product attention', () => {
  const [length, size] = [64, 512];

  async function attend(scale: number) {
    const backend = await openHost();
    const [queries, keys, values] = [1, 2, 3].map((seed) => normal(backend, [1, length, size], seed)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    let weights: Tensor | undefined;
    const { value, gradients } = valueAndGrad(
      (q) => {
        weights = softmax(div(matmul(q, permute(keys, [0, 2, 1])), scale));
        return sum(matmul(weights, values));
      },
      [queries],
    );
    const largest = await mean(max(weights!, { axes: [-1] })).values();
    const gradient = await gradients[0]!.values();
    expect(Number.isFinite((await value.values())[0])).toBe(true);
    return { largest: largest[0]!, norm: Math.hypot(...gradient) };
  }

  test('without scaling the softmax saturates; divided by sqrt(d) it does not', async () => {
    const plain = await attend(1);
    const scaled = await attend(Math.sqrt(size));
    expect(plain.largest).toBeGreaterThan(0.9);
    expect(scaled.largest).toBeLessThan(0.25);
  });

  test('each row of attention weights sums to 1', async () => {
    const backend = await openHost();
    const [q, k] = [1, 2].map((seed) => normal(backend, [2, 16, 8], seed)) as [Tensor, Tensor];
    const rows = await sum(softmax(matmul(q, permute(k, [0, 2, 1]))), { axes: [-1] }).values();
    for (const row of rows) expect(row).toBeCloseTo(1, 5);
  });
});
