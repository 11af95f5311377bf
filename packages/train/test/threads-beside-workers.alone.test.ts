import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { threadsBesideWorkers } from '../src/run-training.ts';

describe('threads of a coordinator next to its workers', () => {
  it.each([
    { parameters: 101_770, freeCores: 16, threads: 1 },
    { parameters: 814_090, freeCores: 0, threads: 1 },
    { parameters: 814_090, freeCores: 2, threads: 2 },
    { parameters: 25_000_000, freeCores: 64, threads: 4 },
  ])('$threads with $parameters parameters and $freeCores free cores', ({ parameters, freeCores, threads }) => {
    expect(threadsBesideWorkers(parameters, freeCores)).toBe(threads);
  });

  it('are never more than one if local workers have all cores, and never none', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.integer({ min: -256, max: 256 }), (parameters, freeCores) => {
        const threads = threadsBesideWorkers(parameters, freeCores);
        expect(threads).toBeGreaterThanOrEqual(1);
        expect(threads).toBeLessThanOrEqual(Math.max(1, freeCores));
      }),
    );
  });
});
