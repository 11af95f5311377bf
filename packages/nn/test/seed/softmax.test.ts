/** "T -> 0: all probability on the largest logit; T = 1: standard softmax; T -> infinity: uniform"; "subtract the maximum". */
import { fromArray, softmax, softmaxCrossEntropy, sum, valueAndGrad } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { openHost } from './fit.ts';

const logits = [2, 0, -1, 1.5, 0.5];

async function softmaxOf(values: readonly number[], temperature?: number): Promise<number[]> {
  const x = fromArray(await openHost(), values, [1, values.length]);
  return [...(await softmax(x, temperature === undefined ? {} : { temperature }).values())];
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

describe('softmax', () => {
  test('gives probabilities that sum to 1, in the order of the logits', async () => {
    const probabilities = await softmaxOf(logits);
    expect(total(probabilities)).toBeCloseTo(1, 6);
    expect(Math.min(...probabilities)).toBeGreaterThan(0);
    const order = (values: readonly number[]) => values.map((_, i) => i).sort((a, b) => values[b]! - values[a]!);
    expect(order(probabilities)).toEqual(order(logits));
  });

  test('makes a difference of 2 between logits a factor of e^2', async () => {
    const [first, second] = await softmaxOf([2, 0]);
    expect(first! / second!).toBeCloseTo(Math.E ** 2, 4);
  });

  test('towards temperature 0 puts everything on the largest logit', async () => {
    expect(await softmaxOf(logits, 0.01)).toEqual([1, 0, 0, expect.closeTo(0, 10), 0]);
  });

  test('at a temperature of 1 is the plain one', async () => {
    expect(await softmaxOf(logits, 1)).toEqual(await softmaxOf(logits));
  });

  test('at a large temperature is uniform', async () => {
    for (const probability of await softmaxOf(logits, 1e6)) expect(probability).toBeCloseTo(0.2, 5);
  });

  test.each([1e4, -1e4])('does not overflow at logits around %s', async (shift) => {
    const expected = await softmaxOf([3, 2, 1]);
    const got = await softmaxOf([3 + shift, 2 + shift, 1 + shift]);
    for (const [index, value] of got.entries()) expect(value).toBeCloseTo(expected[index]!, 6);
    expect(await softmaxOf([1e4, -1e4, 0])).toEqual([1, 0, 0]);
  });
});

describe('cross-entropy', () => {
  const lossAt = async (scores: readonly number[], label: number) => {
    const backend = await openHost();
    const labels = fromArray(backend, [label]);
    const { value, gradients } = valueAndGrad(
      (x) => sum(softmaxCrossEntropy(x, labels)),
      [fromArray(backend, scores, [1, scores.length])],
    );
    return { loss: (await value.values())[0]!, gradient: [...(await gradients[0]!.values())] };
  };

  test('is 0 where the model is sure and right, ln 10 where it knows nothing, and enormous where it is sure and wrong', async () => {
    expect((await lossAt([1e4, 0, 0], 0)).loss).toBe(0);
    expect((await lossAt(Array(10).fill(0.3), 4)).loss).toBeCloseTo(Math.log(10), 6);
    expect((await lossAt([1e4, 0, 0], 1)).loss).toBe(1e4);
  });

  test('is safe at logits of 1e4: finite loss and gradient', async () => {
    const { loss, gradient } = await lossAt([1e4, 9999, -1e4], 1);
    expect(loss).toBeCloseTo(Math.log(1 + Math.E), 4);
    expect(gradient.every(Number.isFinite)).toBe(true);
    expect(total(gradient)).toBeCloseTo(0, 6);
  });
});
