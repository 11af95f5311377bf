/** Softmax and cross-entropy for logits whose exponentials would overflow. */
import { describe, expect, test } from 'vitest';
import { fromArray, openBackend, softmax, softmaxCrossEntropy, sum, valueAndGrad } from '../src/index.ts';

async function softmaxOf(values: readonly number[]): Promise<number[]> {
  const { backend } = await openBackend('cpu');
  return [...(await softmax(fromArray(backend, values, [1, values.length])).values())];
}

async function lossAt(scores: readonly number[], label: number) {
  const { backend } = await openBackend('cpu');
  const labels = fromArray(backend, [label]);
  const { value, gradients } = valueAndGrad(
    (x) => sum(softmaxCrossEntropy(x, labels)),
    [fromArray(backend, scores, [1, scores.length])],
  );
  return { loss: (await value.values())[0]!, gradient: [...(await gradients[0]!.values())] };
}

describe('softmax', () => {
  test.each([1e4, -1e4])('does not overflow at logits around %s', async (shift) => {
    const expected = await softmaxOf([3, 2, 1]);
    const got = await softmaxOf([3 + shift, 2 + shift, 1 + shift]);
    for (const [index, value] of got.entries()) expect(value).toBeCloseTo(expected[index]!, 6);
    expect(await softmaxOf([1e4, -1e4, 0])).toEqual([1, 0, 0]);
  });
});

describe('cross-entropy', () => {
  test('is 0 where the scores are sure and right, and as large as they are where sure and wrong', async () => {
    expect((await lossAt([1e4, 0, 0], 0)).loss).toBe(0);
    expect((await lossAt([1e4, 0, 0], 1)).loss).toBe(1e4);
  });

  test('has a finite loss and gradient at scores of 1e4', async () => {
    const { loss, gradient } = await lossAt([1e4, 9999, -1e4], 1);
    expect(loss).toBeCloseTo(Math.log(1 + Math.E), 4);
    expect(gradient.every(Number.isFinite)).toBe(true);
    expect(gradient.reduce((total, value) => total + value, 0)).toBeCloseTo(0, 6);
  });
});
