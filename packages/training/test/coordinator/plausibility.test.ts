import { describe, expect, it } from 'vitest';
import { Plausibility } from '../../src/coordinator/held-results.ts';

describe('a result', () => {
  it('is not plausible before one is confirmed', () => {
    expect(new Plausibility().isPlausible({ gradient: 1e-9, loss: 1e-9 })).toBe(false);
  });

  it.each([
    [{ gradient: 1, loss: 2 }, true],
    [{ gradient: 8, loss: 16 }, true],
    [{ gradient: 8.1, loss: 1 }, false],
    [{ gradient: 0.1, loss: 16.1 }, false],
    [{ gradient: 0.1, loss: -16.1 }, false],
  ])('of %o beside a confirmed gradient of 1 and loss of 2: %s', (size, expected) => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: 2 });
    expect(plausibility.isPlausible(size)).toBe(expected);
  });

  it('stays plausible after a smaller one is confirmed, in the gradient and in the loss', () => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: -1 });
    plausibility.confirm({ gradient: 0.001, loss: 0.001 });
    expect(plausibility.isPlausible({ gradient: 8, loss: 8 })).toBe(true);
    plausibility.confirm({ gradient: 2, loss: 0.001 });
    expect(plausibility.isPlausible({ gradient: 16, loss: -8 })).toBe(true);
    expect(plausibility.isPlausible({ gradient: 16, loss: 9 })).toBe(false);
  });

  it('needs a new confirmation after some hundred steps, as gradients shrink', () => {
    const plausibility = new Plausibility();
    plausibility.confirm({ gradient: 1, loss: 1 });
    for (let step = 0; step < 300; step++) plausibility.age();
    expect(plausibility.isPlausible({ gradient: 1, loss: 1 })).toBe(false);
    plausibility.confirm({ gradient: 1, loss: 1 });
    expect(plausibility.isPlausible({ gradient: 1, loss: 1 })).toBe(true);
  });
});
