import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createOptimizer,
  type DecayRange,
  defaultOptimizer,
  hasSetting,
  type OptimizerConfig,
  type OptimizerType,
  optimizers,
  parseOptimizer,
} from '../src/index.ts';
import { clipFactor, sumOfSquares } from '../src/optimizer.ts';
import { backends } from './backends.ts';
import { clipGoldens, optimizerGoldens } from './goldens.ts';

/** All optimizer names, as listed in an error. */
const optimizerNames = `one of ${Object.keys(optimizers).join(', ')}`;

/** Settings with which each optimizer descends a bowl; the compiler requires an entry for every optimizer. */
const configs: Record<OptimizerType, OptimizerConfig> = {
  sgd: { type: 'sgd', learningRate: 0.1 },
  momentum: { type: 'momentum', learningRate: 0.02, momentum: 0.9 },
  adam: parseOptimizer({ type: 'adam', learningRate: 0.1 }),
  adamw: parseOptimizer({ type: 'adamw', learningRate: 0.1, weightDecay: 0 }),
  rmsprop: parseOptimizer({ type: 'rmsprop', learningRate: 0.1, momentum: 0.5 }),
};

describe.each(backends)('on $name', ({ open }) => {
  const opening = open();

  async function setUp(config: OptimizerConfig, start: Float32Array, layout?: readonly DecayRange[], frozen?: number) {
    const backend = await opening;
    const parameters = backend.allocate(start.length);
    const gradient = backend.allocate(start.length);
    backend.upload(parameters, start);
    const optimizer = createOptimizer(backend, config, parameters, layout, frozen);
    const step = (values: Float32Array, samples: number) => {
      backend.upload(gradient, values);
      optimizer.step(samples, gradient);
      return backend.view(parameters).slice();
    };
    return { backend, optimizer, parameters, gradient, step };
  }

  describe.each(Object.values(configs))('$type', (config) => {
    test('descends an uneven bowl to its bottom', async () => {
      const bottom = new Float32Array([3, -2, 0.5, 0, 7]);
      const steepness = new Float32Array([1, 0.5, 2, 1, 4]);
      let at: Float32Array = new Float32Array(5);
      const { step } = await setUp(config, at);
      for (let count = 0; count < 500; count++)
        at = step(
          at.map((value, i) => steepness[i]! * (value - bottom[i]!)),
          1,
        );
      for (const [index, value] of at.entries()) expect(value).toBeCloseTo(bottom[index]!, 4);
    });

    test('matches PyTorch for 20 steps within 1e-6', async () => {
      const { start, gradients, runs } = optimizerGoldens;
      const own = runs.filter((run) => run.config.type === config.type);
      expect(own.length).toBeGreaterThan(0);
      for (const run of own) {
        const { step } = await setUp(parseOptimizer(run.config), Float32Array.from(start));
        for (const [index, gradient] of gradients.entries()) {
          const got = step(Float32Array.from(gradient), 1);
          const expected = run.after[index]!;
          for (const [element, value] of got.entries()) {
            const scale = Math.max(1, Math.abs(expected[element]!));
            const error = Math.abs(value - expected[element]!) / scale;
            expect(error, `${JSON.stringify(run.config)}: step ${index}, element ${element}`).toBeLessThan(1e-6);
          }
        }
      }
    });

    test('shrinks only the parameters that decay', async () => {
      const start = Float32Array.of(1, -2, 3, -4, 5, -6);
      const gradient = Float32Array.of(0.1, 0.2, -0.3, 0.4, 0.5, 0.6);
      const after = async (weightDecay: number, layout?: readonly DecayRange[]) => {
        const { step } = await setUp({ ...config, weightDecay }, start, layout);
        step(gradient, 2);
        return step(gradient, 2);
      };
      const layout = [1, 1, 2, 2].map((size, index) => ({ offset: [0, 1, 2, 4][index]!, size, decays: index !== 2 }));
      const [all, none] = [await after(0.1), await after(0)];
      expect(all.every((value, index) => value !== none[index])).toBe(true);
      expect(await after(0.1, layout)).toEqual(
        all.map((value, index) => (index === 2 || index === 3 ? none[index]! : value)),
      );
    });

    test('keeps frozen parameters, and trains the others with the bits of a model without the frozen ones', async () => {
      const clipped = { ...config, weightDecay: 0.1, clipNorm: 0.5 };
      const [start, gradient] = [Float32Array.of(1, 2, 3, 4, 5), Float32Array.of(9, -9, 3, 1, -2)];
      const layout = [
        { offset: 0, size: 2, decays: true },
        { offset: 2, size: 2, decays: true },
        { offset: 4, size: 1, decays: false },
      ];
      const alone = layout.slice(1).map((range) => ({ ...range, offset: range.offset - 2 }));
      const whole = await setUp(clipped, start, layout, 2);
      const rest = await setUp(clipped, start.slice(2), alone);
      for (let step = 0; step < 3; step++) {
        const [all, trained] = [whole.step(gradient, 4), rest.step(gradient.slice(2), 4)];
        expect([...all.subarray(0, 2)]).toEqual([1, 2]);
        expect(all.subarray(2)).toEqual(trained);
      }
    });

    test('divides the sum by the count, once', async () => {
      const start = Float32Array.from([1, 2, 3]);
      const sum = Float32Array.from([7, -14, 0.3]);
      const summed = await setUp(config, start);
      const averaged = await setUp(config, start);
      const mean = sum.map((value) => value / 7);
      for (let count = 0; count < 3; count++) expect(summed.step(sum, 7)).toEqual(averaged.step(mean, 1));
    });

    test('continues to the same bits from a saved state', async () => {
      const gradients = fc.array(fc.float32Array({ minLength: 4, maxLength: 4, noNaN: true, min: -10, max: 10 }), {
        minLength: 2,
        maxLength: 8,
      });
      await fc.assert(
        fc.asyncProperty(gradients, fc.nat(100), async (list, where) => {
          const start = Float32Array.from([0.5, -1, 2, 0]);
          const whole = await setUp(config, start);
          const cut = where % list.length;
          const first = await setUp(config, start);
          let at: Float32Array = start;
          for (const gradient of list.slice(0, cut)) at = first.step(gradient, 2);
          const second = await setUp(config, at);
          const saved = first.optimizer.state();
          second.optimizer.restore(structuredClone(saved));
          expect(second.optimizer.state()).toEqual(saved);
          expect(saved.step).toBe(cut);
          for (const gradient of list) whole.step(gradient, 2);
          for (const gradient of list.slice(cut)) second.step(gradient, 2);
          expect(second.backend.view(second.parameters)).toEqual(whole.backend.view(whole.parameters));
          expect(second.optimizer.state()).toEqual(whole.optimizer.state());
        }),
        { numRuns: 20, seed: 1 },
      );
    });

    test('refuses a state of another size or kind, and keeps the one it has', async () => {
      const { optimizer, step } = await setUp(config, new Float32Array(2));
      step(Float32Array.from([1, 2]), 1);
      const before = optimizer.state();
      const slots = Object.keys(before.slots);
      const wrongSize = Object.fromEntries(slots.map((slot) => [slot, new Float32Array(3)]));
      if (slots.length > 0) {
        expect(() => optimizer.restore({ step: 1, slots: wrongSize })).toThrow(/expected 2 values in \w+, got 3/);
      }
      expect(() => optimizer.restore({ step: 1, slots: { ...before.slots, other: new Float32Array(2) } })).toThrow(
        `optimizer: expected a state of [${slots.join(', ')}], got [${[...slots, 'other'].join(', ')}]`,
      );
      expect(() => optimizer.restore({ ...before, step: -1 })).toThrow(
        'optimizer: expected a state with a whole number of steps, got -1',
      );
      expect(optimizer.state()).toEqual(before);
    });

    test('adds the vectors of a sum in their order, with the bits of the sum, for any count of samples', async () => {
      const start = Float32Array.from({ length: 700 }, (_, index) => Math.sin(index));
      const terms = [1, 2, 3].map((term) => start.map((value, index) => value * 10 ** ((term * index) % 5)));
      const added = start.map((_, index) => terms[0]![index]! + Math.fround(terms[1]![index]! + terms[2]![index]!));
      for (const clipped of [config, { ...config, clipNorm: 0.5 }]) {
        const whole = await setUp(clipped, start);
        const parts = await setUp(clipped, start);
        const [left, middle, right] = terms.map((values) => {
          // Longer than the parameters, like gradient vectors that end with sums of losses.
          const vector = parts.backend.allocate(start.length + 2);
          parts.backend.upload(vector, Float32Array.of(...values, 1, 1));
          return vector;
        });
        for (const samples of [64, 48]) {
          parts.optimizer.step(samples, { left: left!, right: { left: middle!, right: right! } });
          expect(parts.backend.view(parts.parameters).slice()).toEqual(whole.step(added, samples));
          // With clipping, the step overwrites the first vector with the sum.
          parts.backend.upload(left!, Float32Array.of(...terms[0]!, 1, 1));
        }
        expect(parts.optimizer.state()).toEqual(whole.optimizer.state());
      }
    });

    test('refuses counts that are not whole and positive, and a gradient of another length', async () => {
      const { backend, optimizer, parameters, gradient } = await setUp(config, new Float32Array(2));
      for (const samples of [0, -1, 1.5, Number.NaN]) {
        expect(() => optimizer.step(samples, gradient)).toThrow(
          `optimizer: expected a count of 1 or more samples, got ${samples}`,
        );
      }
      expect(() => optimizer.step(1, backend.allocate(1))).toThrow(
        'optimizer: expected a gradient of 2 values, as many as parameters, got 1',
      );
      expect(backend.view(parameters)).toEqual(new Float32Array(2));
      expect(optimizer.state().step).toBe(0);
    });
  });
});

describe('defaults', () => {
  test.each(Object.keys(optimizers) as OptimizerType[])('%s needs nothing but its name', (type) => {
    const { defaultLearningRate } = optimizers[type];
    expect(defaultOptimizer(type)).toMatchObject({ type, learningRate: defaultLearningRate });
  });

  test('an optimizer knows which settings it has', () => {
    expect(hasSetting('momentum', 'nesterov')).toBe(true);
    expect(hasSetting('adam', 'momentum')).toBe(false);
    expect(hasSetting('adam', 'toString')).toBe(false);
  });
});

describe('settings', () => {
  test('momentum has a momentum of 0.9 where it is left out', () => {
    expect(parseOptimizer({ type: 'momentum', learningRate: 0.1 })).toEqual({
      type: 'momentum',
      learningRate: 0.1,
      momentum: 0.9,
    });
  });

  test.each<[unknown, string]>([
    [{ type: 'sdg', learningRate: 0.1 }, `optimizer: type: expected ${optimizerNames}, got "sdg"`],
    [{ type: 'sgd' }, 'optimizer: learningRate: expected a value, got none'],
    [{ type: 'sgd', learningRate: 0 }, 'optimizer: learningRate: expected a number above 0, got 0'],
    [{ type: 'sgd', learningRate: Number.NaN }, 'optimizer: learningRate: expected a number above 0, got NaN'],
    [
      { type: 'sgd', learningRate: Number.POSITIVE_INFINITY },
      'optimizer: learningRate: expected a number above 0, got Infinity',
    ],
    [{ type: 'adam', learningRate: 1, momentum: 0.9 }, 'optimizer: momentum: unknown entry'],
    [
      { type: 'sgd', learningRate: 1, nesterov: true },
      'optimizer: expected nesterov only with a momentum above 0 and without dampening',
    ],
    [
      { type: 'momentum', learningRate: 1, nesterov: true, dampening: 0.1 },
      'optimizer: expected nesterov only with a momentum above 0 and without dampening',
    ],
    [{ type: 'adam', learningRate: 1, beta2: 1 }, 'optimizer: beta2: expected a number from 0 to below 1, got 1'],
    [
      { type: 'adamw', learningRate: 1, weightDecay: -1 },
      'optimizer: weightDecay: expected a number of at least 0, got -1',
    ],
    [{ type: 'sgd', learningRate: 1, clipNorm: 0 }, 'optimizer: clipNorm: expected a number above 0, got 0'],
    [
      { type: 'sgd', learningRate: 1, schedule: { type: 'cosine' } },
      'optimizer: schedule.steps: expected a value, got none',
    ],
    [
      { type: 'sgd', learningRate: 1, schedule: { type: 'linear' } },
      'optimizer: schedule.type: expected one of constant, step, cosine, got "linear"',
    ],
    [
      { type: 'momentum', learningRate: 1, momentum: 1 },
      'optimizer: momentum: expected a number from 0 to below 1, got 1',
    ],
  ])('%j', (config, message) => {
    expect(() => parseOptimizer(config)).toThrow(new Error(message));
  });
});

describe('clipping by norm', () => {
  test.each(clipGoldens)(
    'to $clipNorm gives the numbers of clip_grad_norm_ within 1e-6',
    ({ clipNorm, before, after }) => {
      const factor = clipFactor(Float32Array.from(before), 1, clipNorm);
      for (const [index, value] of before.entries()) {
        expect(Math.abs(value * factor - after[index]!)).toBeLessThanOrEqual(1e-6 * Math.abs(after[index]!));
      }
    },
  );

  test('a sum over samples is clipped by the norm of their mean', () => {
    const sum = Float32Array.of(30, -40);
    expect(clipFactor(sum, 10, 1)).toBeCloseTo(1 / 5, 6);
    expect(clipFactor(sum, 100, 1)).toBe(1);
  });

  test('every element counts once, whatever the length', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }), (values) => {
        const exact = values.reduce((sum, value) => sum + value * value, 0);
        expect(sumOfSquares(Float32Array.from(values))).toBe(exact);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});
