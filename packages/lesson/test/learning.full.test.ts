/** Softmax, cross-entropy, gradient descent, back-propagation. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backPropagation } from '../src/chapters/back-propagation.ts';
import { crossEntropyChapter } from '../src/chapters/cross-entropy.ts';
import { gradientDescent } from '../src/chapters/gradient-descent.ts';
import { initialization } from '../src/chapters/initialization.ts';
import { softmaxChapter } from '../src/chapters/softmax.ts';
import { openContext, openDigits } from './context.ts';

const total = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0);

describe('softmax', () => {
  test('gives probabilities that add up to 1, in the order of the logits', async () => {
    const { logits, probabilities } = softmaxChapter.result(await openContext());
    expect(total(probabilities)).toBeCloseTo(1, 6);
    expect(Math.min(...probabilities)).toBeGreaterThan(0);
    const order = (values: readonly number[]) => values.map((_, i) => i).sort((a, b) => values[b]! - values[a]!);
    expect(order([...probabilities])).toEqual(order(logits));
  });

  test('makes a difference of 2 a factor of e²', async () => {
    const { probabilities } = softmaxChapter.result(await openContext(), { top: 2 });
    expect(probabilities[0]! / probabilities[1]!).toBeCloseTo(Math.E ** 2, 4);
  });

  test('near temperature 0 puts everything on the largest, at a high one is nearly uniform, and more entropy lies between', async () => {
    const context = await openContext();
    const [cold, warm, hot] = [0.05, 1, 50].map((temperature) => softmaxChapter.result(context, { temperature }));
    expect(cold!.probabilities[0]).toBeGreaterThan(0.999);
    for (const probability of hot!.probabilities) expect(probability).toBeCloseTo(0.2, 1);
    expect(cold!.entropy).toBeLessThan(warm!.entropy);
    expect(warm!.entropy).toBeLessThan(hot!.entropy);
  });

  test('shows at once what temperature and shifts do', async () => {
    const { temperatures, shifts } = softmaxChapter.result(await openContext());
    const [cold, , hot] = temperatures;
    expect(cold!.largest).toBeGreaterThan(0.999);
    expect(hot!.largest - hot!.smallest).toBeLessThan(0.05);
    expect(shifts.map(({ shift }) => shift)).toEqual([0, 100, 1000]);
    for (const { first } of shifts) expect(first).toBeCloseTo(shifts[0]!.first, 5);
    expect(shifts.map(({ plain }) => Number.isNaN(plain))).toEqual([false, true, true]);
  });

  test('does not change where all logits are shifted, also where the plain formula overflows', async () => {
    const context = await openContext();
    const before = softmaxChapter.result(context).probabilities;
    const { probabilities, plain } = softmaxChapter.result(context, { shift: 100 });
    for (const [index, value] of probabilities.entries()) expect(value).toBeCloseTo(before[index]!, 5);
    expect(plain.some(Number.isNaN)).toBe(true);
  });
});

describe('cross-entropy', () => {
  test.each([1, 2, 3, 4, 5])(
    'an untrained network has a loss of ln 10 and is right one time in ten, seed %i',
    async (seed) => {
      const { untrained } = crossEntropyChapter.result(await openDigits(), { seed });
      expect(Math.abs(untrained.loss - Math.LN10)).toBeLessThan(0.05);
      expect(Math.abs(untrained.accuracy - 0.1)).toBeLessThan(0.1);
    },
  );

  test('costs minus the logarithm, and its gradient is the probability minus 1 for the right class', async () => {
    const context = await openDigits();
    for (const p of [0.01, 0.1, 0.5, 0.99]) {
      const { loss, gradient } = crossEntropyChapter.result(context, { p });
      expect(loss).toBeCloseTo(-Math.log(p), 4);
      expect(gradient[0]).toBeCloseTo(p - 1, 5);
      expect(gradient[1]).toBeCloseTo((1 - p) / 9, 5);
    }
  });

  test('punishes being sure and wrong far more than it rewards being sure and right', async () => {
    const { costs } = crossEntropyChapter.result(await openDigits());
    expect(costs[0]).toBeLessThan(0.02);
    expect(costs.at(-1)).toBeGreaterThan(9);
  });
});

describe('gradient descent', () => {
  test.each([
    [0.001, 'too small'],
    [0.1, 'about right'],
    [0.3, 'too large'],
  ] as const)('a learning rate of %f is %s', async (lr, expected) => {
    const { verdict, losses, compared } = gradientDescent.result(await openContext(), { lr });
    expect(verdict).toBe(expected);
    expect(compared.find(({ rate }) => rate === lr)!.verdict).toBe(expected);
    if (expected === 'about right') {
      expect(losses).toEqual(losses.toSorted((a, b) => b - a));
      expect(losses.at(-1)).toBeLessThan(1e-3);
    }
  });

  test('in the bowl a step overshoots above 2 over the largest curvature', async () => {
    const context = await openContext();
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 1000 }), (thousandth) => {
        const lr = thousandth / 1000;
        fc.pre(Math.abs(lr - 0.25) > 0.01);
        const { losses } = gradientDescent.result(context, { lr, startX: 0, startY: 1, steps: 50 });
        expect(losses.at(-1)! < losses[0]!).toBe(lr < 0.25);
      }),
      { seed: 1, numRuns: 40 },
    );
  });

  test.each([
    [{ lr: 0.25 }, 'too large'],
    [{ lr: 1 }, 'too large'],
    [{ lr: 1, startX: 0, startY: 0 }, 'without effect, since the slope is 0'],
    [{ lr: 0.3, startY: 0 }, 'about right'],
    [{ lr: 0.001, steps: 200 }, 'too small'],
    [{ lr: 0.1, steps: 5 }, 'too small'],
    [{ lr: 1, landscape: 'two valleys' }, 'too large'],
    [{ lr: 0.05, landscape: 'two valleys', startX: 3.5, startY: -3.5 }, 'about right'],
  ] as const)('%j is %s', async (settings, expected) => {
    expect(gradientDescent.result(await openContext(), settings).verdict).toBe(expected);
  });

  test('with two valleys the start decides which one is found', async () => {
    const context = await openContext();
    const ends = [-3, 3].map((startX) =>
      gradientDescent.result(context, { landscape: 'two valleys', startX, lr: 0.05, steps: 200 }),
    );
    expect(ends[0]!.path.at(-1)![0]).toBeLessThan(-1.5);
    expect(ends[1]!.path.at(-1)![0]).toBeGreaterThan(1.5);
    expect(ends[0]!.losses.at(-1)).toBeLessThan(ends[1]!.losses.at(-1)! - 0.5);
  });
});

describe('back-propagation', () => {
  test("gives every node's value and gradient, as the chain rule does by hand", async () => {
    const inputs = { w1: 0.5, w2: -1, b: 0.3, x1: 1, x2: 0.5, target: 1 };
    const { nodes } = backPropagation.result(await openDigits(), inputs);
    const z = 0.5 * 1 - 1 * 0.5 + 0.3;
    const g = 1 / (1 + Math.exp(-z));
    const a = z * g;
    const e = a - 1;
    const dg = 2 * e * z;
    const dz = 2 * e * g + dg * g * (1 - g);
    const expected: Record<string, readonly [number, number]> = {
      x1: [1, dz * 0.5],
      w1: [0.5, dz * 1],
      x2: [0.5, dz * -1],
      w2: [-1, dz * 0.5],
      b: [0.3, dz],
      target: [1, -2 * e],
      p1: [0.5, dz],
      p2: [-0.5, dz],
      s: [0, dz],
      z: [z, dz],
      g: [g, dg],
      a: [a, 2 * e],
      e: [e, 2 * e],
      loss: [e * e, 1],
    };
    expect(nodes.map(({ id }) => id).sort()).toEqual(Object.keys(expected).sort());
    for (const { id, value, gradient } of nodes) {
      expect(value, id).toBeCloseTo(expected[id]![0], 5);
      expect(gradient, id).toBeCloseTo(expected[id]![1], 5);
    }
  });

  test('adds up the gradients of a value that is used twice', async () => {
    const { uses, ofZ, nodes } = backPropagation.result(await openDigits());
    expect(uses.map(({ use }) => use)).toEqual(['z → g', 'z → a']);
    for (const { gradient } of uses) expect(Math.abs(gradient)).toBeGreaterThan(0.01);
    expect(uses.reduce((sum, { gradient }) => sum + gradient, 0)).toBeCloseTo(ofZ, 5);
    expect(nodes.find(({ id }) => id === 'z')!.gradient).toBe(ofZ);
  });

  test('costs two passes for all 101,770 parameters, which difference quotients confirm', async () => {
    const { network } = backPropagation.result(await openDigits());
    expect(network.parameters).toBe(101_770);
    expect(network.forwardMultiplications).toBe(64 * (784 * 128 + 128 * 10));
    // 101,770 forward passes take more multiplications than 50,000 steps.
    const factor = (network.parameters * network.forwardMultiplications) / network.stepMultiplications;
    expect(factor).toBeGreaterThan(50_000);
    expect(network.checks.map(({ shape }) => shape)).toEqual([[784, 128], [128], [128, 10], [10]]);
    for (const { gradient, quotient } of network.checks) {
      expect(Math.abs(gradient)).toBeGreaterThan(0.001);
      expect(Math.abs(quotient / gradient - 1)).toBeLessThan(0.01);
    }
  });

  test('agrees with difference quotients', async () => {
    const context = await openDigits();
    const value = fc.integer({ min: -15, max: 15 }).map((tenths) => tenths / 10);
    const inputs = fc.record({ w1: value, w2: value, b: value, x1: value, x2: value });
    fc.assert(
      fc.property(inputs, (settings) => {
        for (const { quotient, gradient } of backPropagation.result(context, settings).quotients) {
          expect(Math.abs(quotient - gradient)).toBeLessThan(2e-3 * Math.max(1, Math.abs(gradient)));
        }
      }),
      { seed: 1, numRuns: 30 },
    );
  });
});

describe('initialization', () => {
  test.each([1, 2, 3])('weights of He keep the size of a signal, default weights lose it, seed %i', async (seed) => {
    const { signals } = initialization.result(await openContext(), { seed });
    const kept = Object.fromEntries(signals.map(({ label, sizes }) => [label, sizes.at(-1)! / sizes[0]!]));
    expect(kept['He']).toBeGreaterThan(0.5);
    expect(kept['He']).toBeLessThan(2);
    expect(kept['default']).toBeLessThan(0.01);
    expect(kept['twice He']).toBeGreaterThan(300);
    const gradients = Object.fromEntries(signals.map(({ label, gradient }) => [label, gradient]));
    expect(gradients['He']).toBeGreaterThan(0.3);
    expect(gradients['He']).toBeLessThan(3);
    expect(gradients['default']).toBeLessThan(0.01);
    expect(gradients['twice He']).toBeGreaterThan(300);
  });
});
