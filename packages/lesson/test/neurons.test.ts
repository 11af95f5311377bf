/** One neuron, XOR, activations, layers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { activations } from '../src/chapters/activations.ts';
import { layersChapter } from '../src/chapters/layers.ts';
import { neuron } from '../src/chapters/neuron.ts';
import { xor } from '../src/chapters/xor.ts';
import { openContext } from './context.ts';

const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

describe('a neuron', () => {
  test('takes the weighted sum and the bias through the activation', async () => {
    const { sums, outputs, right } = neuron.result(await openContext(), {
      w1: 2,
      w2: -1,
      bias: 0.5,
      activation: 'tanh',
    });
    const expected = [0.5, -0.5, 2.5, 1.5];
    for (const [row, sum] of expected.entries()) {
      expect(sums[row]).toBeCloseTo(sum, 6);
      expect(outputs[row]).toBeCloseTo(Math.tanh(sum), 6);
    }
    expect(right).toBe(1);
  });

  test('of thousands none gets all of XOR right; the best get three of four', async () => {
    const { tried, best } = neuron.result(await openContext());
    expect(tried).toBe(25 ** 3);
    expect(best).toBe(3);
  });
});

describe('XOR', () => {
  test('one neuron cannot: its loss ends at ln 2, and is never far below', async () => {
    const context = await openContext();
    for (const seed of seeds) {
      const { losses, right, verdict } = xor.result(context, { neurons: '1', seed, steps: 2000 });
      expect(verdict).toBe('learns nothing');
      expect(Math.min(...losses)).toBeGreaterThan(0.5);
      expect(Math.abs(losses.at(-1)! - Math.LN2)).toBeLessThan(1e-3);
      expect(right).toBeLessThan(4);
    }
  });

  test('three neurons without a nonlinearity are still a line', async () => {
    const context = await openContext();
    for (const seed of seeds) {
      const { losses } = xor.result(context, { activation: 'none', seed, steps: 2000 });
      expect(losses.at(-1)).toBeGreaterThan(0.69);
    }
  });

  test.each([
    [{}, 4, 'learns'],
    [{ activation: 'relu' }, 4, 'learns'],
    [{ activation: 'none' }, 2, 'learns nothing'],
    [{ neurons: '1' }, 2, 'learns nothing'],
    [{ lr: 0.001, steps: 100 }, 3, 'underfits'],
  ] as const)('%j, other settings untouched: %i of 4, it %s', async (settings, right, verdict) => {
    expect(xor.result(await openContext(), settings)).toMatchObject({ right, verdict });
  });

  test('of ten seeds tanh learns it from most, relu from some, and no activation from none', async () => {
    const context = await openContext();
    const learned = (['tanh', 'relu', 'none'] as const).map((activation) => {
      const { tried } = xor.result(context, { activation });
      expect(tried).toHaveLength(10);
      return tried.filter((verdict) => verdict === 'learns').length;
    });
    expect(learned[0]).toBeGreaterThan(5);
    expect(learned[1]).toBeGreaterThan(0);
    expect(learned[1]).toBeLessThan(learned[0]!);
    expect(learned[2]).toBe(0);
  });

  test('shows the field while it trains, and each seed as it is tried', async () => {
    const frames = [...xor.exhibits(await openContext(), { steps: 100 })];
    expect(frames.length).toBe(5 + 10);
  });
});

describe('activations', () => {
  test("relu's gradient is 0 or 1, never a fraction", async () => {
    const { slopes } = activations.result(await openContext());
    expect(new Set(slopes)).toEqual(new Set([0, 1]));
  });

  test("leakyRelu's is 0.01 below 0", async () => {
    const { slopes } = activations.result(await openContext(), { fn: 'leakyRelu' });
    expect(new Set(slopes)).toEqual(new Set([Math.fround(0.01), 1]));
  });

  test("sigmoid's is a quarter at most, tanh's 1 at most, and both vanish at the ends", async () => {
    const context = await openContext();
    for (const [fn, most] of [
      ['sigmoid', 0.25],
      ['tanh', 1],
    ] as const) {
      const { slopes } = activations.result(context, { fn });
      expect(Math.max(...slopes)).toBe(most);
      for (const end of [slopes[0]!, slopes.at(-1)!]) {
        expect(end).toBeGreaterThan(0);
        expect(end).toBeLessThan(0.01);
      }
    }
  });

  test('through ten sigmoids a gradient shrinks below 0.25^10, through ten relus it stays 1', async () => {
    const { chains } = activations.result(await openContext());
    const gradients = Object.fromEntries(chains.map(({ name, gradient }) => [name, gradient]));
    expect(gradients['sigmoid']).toBeGreaterThan(0);
    expect(gradients['sigmoid']).toBeLessThan(0.25 ** 10);
    expect(gradients['relu']).toBe(1);
  });

  test('a neuron whose sums are all negative is dead behind relu, and learns behind leakyRelu and gelu', async () => {
    const { neurons } = activations.result(await openContext());
    const [relu, leakyRelu, gelu] = neurons;
    expect(relu).toMatchObject({ name: 'relu', firstGradient: 0, verdict: 'is dead' });
    expect(relu!.lossAfter).toBe(relu!.lossBefore);
    expect(leakyRelu).toMatchObject({ name: 'leakyRelu', verdict: 'learns' });
    expect(gelu).toMatchObject({ name: 'gelu', verdict: 'learns' });
    for (const { lossBefore, lossAfter } of [leakyRelu!, gelu!]) expect(lossAfter).toBeLessThan(lossBefore / 2);
  });
});

test('a neuron from the lowest bias: gelu hardly learns, and no word says more than its loss', async () => {
  const { neurons } = activations.result(await openContext(), { bias: -3 });
  for (const { name, verdict, lossBefore, lossAfter } of neurons) {
    if (verdict === 'learns') expect(lossAfter, name).toBeLessThan(lossBefore / 2);
    if (verdict === 'hardly learns') expect(lossAfter, name).toBeGreaterThan(lossBefore / 2);
  }
  expect(neurons.find(({ name }) => name === 'gelu')!.verdict).toBe('hardly learns');
});

test('layers without an activation are one matrix, and with any they are not', async () => {
  const { collapse } = activations.result(await openContext());
  for (const { name, difference } of collapse) {
    if (name === 'none') expect(difference).toBeLessThan(1e-5);
    else expect(difference, name).toBeGreaterThan(0.1);
  }
});

describe('layers', () => {
  test('784-128-10 has 101,770 parameters, and GPT-3 about 175 billion by the same formula', async () => {
    const { total, known } = layersChapter.result(await openContext());
    expect(total).toBe(101_770);
    expect(known.small).toBe(62);
    expect(known.digits).toBe(101_770);
    expect(Math.round(known.gpt3.total / 1e9)).toBe(175);
    expect(known.gpt3.dense / known.gpt3.total).toBeGreaterThan(0.99);
  });

  test('three small layers, 3-5-5-2, have 62', async () => {
    const { total, rows } = layersChapter.result(await openContext(), { inputs: 3, width: 5, hidden: 2, outputs: 2 });
    expect(rows.map(({ parameters }) => parameters)).toEqual([20, 30, 12]);
    expect(total).toBe(62);
  });

  test('in general: the sum over layers of (inputs + 1) * outputs', async () => {
    const context = await openContext();
    const size = fc.integer({ min: 2, max: 40 });
    fc.assert(
      fc.property(size, size, fc.integer({ min: 0, max: 6 }), size, (inputs, width, hidden, outputs) => {
        const sizes = [inputs, ...new Array<number>(hidden).fill(width), outputs];
        const expected = sizes.slice(1).reduce((sum, units, index) => sum + (sizes[index]! + 1) * units, 0);
        const { total, byFormula } = layersChapter.result(context, { inputs, width, hidden, outputs });
        expect([total, byFormula]).toEqual([expected, expected]);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  test.each([1, 2, 3, 4, 5, 6, 7])(
    '%i folds: deep and wide are equal, and the deep one is the zigzag of 2^n pieces',
    async (folds) => {
      const { xs, deep, wide, largestDifference } = layersChapter.result(await openContext(), { folds });
      expect(largestDifference).toBe(0);
      const pieces = 2 ** folds;
      const zigzag = (x: number): number => {
        const place = (x * pieces) % 2;
        return place <= 1 ? place : 2 - place;
      };
      expect([...deep.outputs]).toEqual(xs.map(zigzag));
      expect(deep.parameters).toBe(6 * folds + 1);
      expect(wide.parameters).toBe(3 * pieces + 1);
    },
  );
});
