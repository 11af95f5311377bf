import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { initialize, parameterLayout, resolveModel } from '../src/index.ts';
import { mlpGoldens } from './goldens.ts';

const model = resolveModel('mlp');

describe('initial parameters', () => {
  test.each(mlpGoldens.initial)('seed $seed gives the bits of torch.manual_seed($seed)', ({ seed, sha256, first }) => {
    const values = initialize(model, seed);
    expect(values[0]).toBe(Math.fround(first));
    expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(sha256);
  });

  test('each parameter is uniform in ±1/sqrt(fanIn)', () => {
    const values = initialize(model, 3);
    for (const { name, bound, offset, size } of parameterLayout(model)) {
      if (size < 1000) continue;
      const scaled = [...values.subarray(offset, offset + size)].map((value) => value / bound);
      expect(Math.max(...scaled.map(Math.abs)), name).toBeLessThanOrEqual(1 + 1e-6);
      expect(Math.abs(scaled.reduce((sum, value) => sum + value, 0) / size), name).toBeLessThan(
        4 / Math.sqrt(3 * size),
      );
      const variance = scaled.reduce((sum, value) => sum + value * value, 0) / size;
      expect(Math.abs(variance - 1 / 3), name).toBeLessThan(0.03);
    }
  });

  test.each([-1, 0.5, 2 ** 32, Number.NaN])('refuses the seed %s', (seed) => {
    expect(() => initialize(model, seed)).toThrow(`seed: expected a whole number from 0 to 4294967295, got ${seed}`);
  });
});
