/** "Every connection between nodes is a weight. Every node in a hidden or output layer has a bias." */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parameterCount, parseModel, resolveModel } from '../../src/index.ts';

const fullyConnected = (sizes: readonly number[]) =>
  parseModel({
    name: 'network',
    input: [sizes[0]],
    layers: sizes.slice(1).map((units) => ({ type: 'dense', units })),
  });

test('784-128-10 has 101,770', () => {
  expect(parameterCount(resolveModel('mlp'))).toBe(784 * 128 + 128 + (128 * 10 + 10));
  expect(parameterCount(resolveModel('mlp'))).toBe(101_770);
});

test('3-5-5-2, three small layers, has 62', () => {
  expect(parameterCount(fullyConnected([3, 5, 5, 2]))).toBe(3 * 5 + 5 + (5 * 5 + 5) + (5 * 2 + 2));
  expect(parameterCount(fullyConnected([3, 5, 5, 2]))).toBe(62);
});

test('in general: the sum over layers of (inputs + 1) * outputs', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 2, maxLength: 6 }), (sizes) => {
      const expected = sizes.slice(1).reduce((sum, outputs, index) => sum + (sizes[index]! + 1) * outputs, 0);
      expect(parameterCount(fullyConnected(sizes))).toBe(expected);
    }),
    { numRuns: 100, seed: 1 },
  );
});
