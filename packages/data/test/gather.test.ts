import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classTargets, type Dataset, gatherRows, gatherSamples, samplesOf, valueTargets } from '../src/dataset.ts';
import { permutation } from '../src/order.ts';

/** A dataset whose sample i has label i % 10 and two pixels, i % 256 and its complement. */
function countingDataset(count: number): Dataset {
  const pixels = Uint8Array.from({ length: 2 * count }, (_, index) => {
    const value = (index >> 1) % 256;
    return index % 2 === 0 ? value : 255 - value;
  });
  return {
    samples: samplesOf(pixels, [1, 2, 1]),
    count,
    targets: classTargets(
      Uint16Array.from({ length: count }, (_, index) => index % 10),
      Array.from({ length: 10 }, (_, index) => `${index}`),
    ),
  };
}

describe('gather', () => {
  it('copies the samples the permutation names', () => {
    const dataset = countingDataset(300);
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), fc.nat(1000), (a, b, seed) => {
        const order = permutation(300, seed, 0);
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const { samples, targets, count } = gatherSamples(dataset, order, from, to);
        const numbers = [...order.subarray(from, to)];
        expect(count).toBe(numbers.length);
        expect([...targets]).toEqual(numbers.map((sample) => sample % 10));
        expect([...samples]).toEqual(numbers.flatMap((sample) => [sample % 256, 255 - (sample % 256)]));
      }),
    );
  });

  it('keeps the type of samples and targets', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true }), { minLength: 6, maxLength: 6 }), (numbers) => {
        const values = Float32Array.from(numbers);
        const targets = valueTargets(values, ['a', 'b']);
        const dataset: Dataset = { samples: samplesOf(values, [2]), count: 3, targets };
        const expected = values.slice(2, 6);
        const { samples, targets: picked } = gatherSamples(dataset, Uint32Array.of(0, 1, 2), 1, 3);
        expect(samples).toEqual(expected);
        expect(picked).toEqual(expected);
      }),
    );
  });

  it('does not share memory with the dataset', () => {
    const dataset = countingDataset(4);
    const { samples, targets } = gatherSamples(dataset, permutation(4, 0, 0), 0, 4);
    samples.fill(7);
    targets.fill(7);
    expect(dataset).toEqual(countingDataset(4));
  });

  it('refuses positions and samples beyond the end', () => {
    const dataset = countingDataset(4);
    const order = permutation(4, 0, 0);
    expect(() => gatherSamples(dataset, order, 0, 5)).toThrow('to: expected a whole number from 0 to 4, got 5');
    expect(() => gatherSamples(dataset, order, 3, 2)).toThrow('to: expected a whole number from 3 to 4, got 2');
    expect(() => gatherSamples(dataset, order, -1, 2)).toThrow('from: expected a whole number of at least 0, got -1');
    expect(() => gatherSamples(dataset, Uint32Array.of(4), 0, 1)).toThrow(
      'gather: expected samples below 4, got 4 at position 0',
    );
    expect(() => gatherRows(new Uint8Array(6), 2, Uint32Array.of(0, 3))).toThrow(
      'gather: expected rows below 3, got 3',
    );
  });
});
