/** Runs go back when a liar is caught, and end with the oracle's weights; the cost is what the formula of docs says. */
import { describe, expect, it } from 'vitest';
import { expectTimeOnly } from './liar-runs.ts';
import { expectFormula, wrongUntilCaught } from './wrong-results.ts';

describe('one to three liars that begin to lie at random steps', () => {
  it.each(['one-bit', 'no-answer'] as const)('cost time only (%s)', expectTimeOnly);
});

describe('the number of wrong results until one is checked', () => {
  it.each([
    [0.001, 40],
    [0.001, 5],
    [0.05, 400],
  ])('is, at a rate of %d after %i right results, what the formula says', (verifyRate, right) => {
    const { mean } = wrongUntilCaught(right, verifyRate);
    // One more wrong result than right ones on average, unless the rate of the run is reached.
    expect(mean).toBeLessThanOrEqual(Math.min(right + 1, 1 / verifyRate) + 1e-9);
    if (1 / verifyRate > 10 * right) expect(mean).toBeGreaterThan(0.9 * right);
  });

  it('is, in simulated runs, what the formula says: at a rate of 0.02 after 3 right results', async () => {
    await expectFormula(0.02, 3);
  });
});
