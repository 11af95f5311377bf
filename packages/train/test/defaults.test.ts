/** The default length of a run: MNIST's for large data, more and smaller steps for small data. */
import { describe, expect, it } from 'vitest';
import { defaultBatch, defaultEpochs, learningRateScale } from '../src/defaults.ts';

describe('the default batch and epochs', () => {
  it.each([
    { samples: 60_000, recipe: 128, batch: 128, epochs: 5, scale: 1 },
    { samples: 60_000, recipe: 64, batch: 64, epochs: 5, scale: 1 },
    { samples: 10_000, recipe: 128, batch: 128, epochs: 7, scale: 1 },
    { samples: 897, recipe: 128, batch: 128, epochs: 63, scale: 1 },
    { samples: 896, recipe: 128, batch: 64, epochs: 36, scale: 1 / 2 },
    { samples: 353, recipe: 128, batch: 32, epochs: 42, scale: 1 / 4 },
    { samples: 120, recipe: 128, batch: 16, epochs: 63, scale: 1 / 8 },
    { samples: 120, recipe: 64, batch: 16, epochs: 63, scale: 1 / 4 },
    { samples: 20, recipe: 128, batch: 16, epochs: 250, scale: 1 / 8 },
    { samples: 5, recipe: 128, batch: 5, epochs: 500, scale: 1 / 8 },
  ])('of $samples samples with a recipe of $recipe are $batch and $epochs', ({ samples, recipe, ...expected }) => {
    const batch = defaultBatch(samples, recipe);
    const epochs = defaultEpochs(Math.ceil(samples / batch));
    expect({ batch, epochs, scale: learningRateScale(batch, recipe) }).toEqual(expected);
  });

  it('have a rate in proportion to a larger batch, up to 8 times', () => {
    expect([256, 1_024, 2_048].map((batch) => learningRateScale(batch, 128))).toEqual([2, 8, 8]);
  });

  it('reach the steps that were asked for', () => {
    expect(defaultEpochs(8, 400)).toBe(50);
    expect(defaultEpochs(469, 200)).toBe(1);
    expect(defaultEpochs(469, 3000)).toBe(7);
  });
});
