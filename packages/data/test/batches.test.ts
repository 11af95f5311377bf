import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchAt, gather, gatherPixels, microbatchCount, samplesOfShard, stepsPerEpoch } from '../src/batches.ts';
import type { Dataset } from '../src/dataset.ts';
import { permutation } from '../src/permutation.ts';

const sampleCounts = fc.integer({ min: 1, max: 400 });
const batchSizes = fc.integer({ min: 1, max: 150 });
const microbatchSizes = fc.integer({ min: 1, max: 64 });

/** Cuts `[lo, lo + n)` into aligned shards, splitting wherever `choices` says so. */
function cut(lo: number, n: number, choices: Iterator<boolean>): { lo: number; n: number }[] {
  if (n === 1 || !choices.next().value) return [{ lo, n }];
  return [...cut(lo, n / 2, choices), ...cut(lo + n / 2, n / 2, choices)];
}

/** A dataset whose sample i has label i % 10 and two pixels, i % 256 and its complement. */
function countingDataset(count: number): Dataset {
  return {
    images: Uint8Array.from({ length: 2 * count }, (_, index) => {
      const value = (index >> 1) % 256;
      return index % 2 === 0 ? value : 255 - value;
    }),
    labels: Uint8Array.from({ length: count }, (_, index) => index % 10),
    count,
    rows: 1,
    columns: 2,
    classes: 10,
  };
}

describe('an epoch', () => {
  it('visits every sample exactly once, however its batches are cut into shards', () => {
    fc.assert(
      fc.property(
        sampleCounts,
        batchSizes,
        microbatchSizes,
        fc.nat(3),
        fc.infiniteStream(fc.boolean()),
        (sampleCount, batchSize, microbatchSize, epoch, choices) => {
          const order = permutation(sampleCount, 5, epoch);
          const microbatches = microbatchCount(batchSize, microbatchSize);
          const steps = stepsPerEpoch(sampleCount, batchSize);
          const visits = new Array<number>(sampleCount).fill(0);
          for (let step = epoch * steps; step < (epoch + 1) * steps; step += 1) {
            const batch = batchAt(step, sampleCount, batchSize);
            expect(batch.epoch).toBe(epoch);
            for (const { lo, n } of cut(0, microbatches, choices)) {
              const { from, to } = samplesOfShard(lo, n, microbatchSize, batch.count);
              for (let sample = from; sample < to; sample += 1) visits[order[batch.first + sample]!]! += 1;
            }
          }
          expect(visits).toEqual(new Array<number>(sampleCount).fill(1));
        },
      ),
    );
  });

  it('keeps its last, short batch', () => {
    expect(stepsPerEpoch(60_000, 512)).toBe(118);
    expect(batchAt(0, 60_000, 512)).toEqual({ epoch: 0, first: 0, count: 512 });
    expect(batchAt(117, 60_000, 512)).toEqual({ epoch: 0, first: 59_904, count: 96 });
    expect(batchAt(118, 60_000, 512)).toEqual({ epoch: 1, first: 0, count: 512 });
    expect(batchAt(7, 3, 100)).toEqual({ epoch: 7, first: 0, count: 3 });
  });
});

describe('microbatchCount', () => {
  it('is the smallest power of two that holds a batch', () => {
    fc.assert(
      fc.property(batchSizes, microbatchSizes, (batchSize, microbatchSize) => {
        const microbatches = microbatchCount(batchSize, microbatchSize);
        expect(Number.isInteger(Math.log2(microbatches))).toBe(true);
        expect(microbatches * microbatchSize).toBeGreaterThanOrEqual(batchSize);
        if (microbatches > 1) expect((microbatches / 2) * microbatchSize).toBeLessThan(batchSize);
      }),
    );
    expect(microbatchCount(64, 16)).toBe(4);
    expect(microbatchCount(65, 16)).toBe(8);
  });
});

describe('samplesOfShard', () => {
  it('is empty for microbatches that are padding', () => {
    expect(samplesOfShard(6, 2, 16, 90)).toEqual({ from: 90, to: 90 });
    expect(samplesOfShard(4, 4, 16, 90)).toEqual({ from: 64, to: 90 });
    expect(samplesOfShard(0, 8, 16, 90)).toEqual({ from: 0, to: 90 });
  });
});

describe('gather', () => {
  it('copies the samples the permutation names', () => {
    const dataset = countingDataset(300);
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), fc.nat(1000), (a, b, seed) => {
        const order = permutation(300, seed, 0);
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const { pixels, labels } = gather(dataset, order, from, to);
        const samples = [...order.subarray(from, to)];
        expect([...labels]).toEqual(samples.map((sample) => sample % 10));
        expect([...pixels]).toEqual(samples.flatMap((sample) => [sample % 256, 255 - (sample % 256)]));
      }),
    );
  });

  it('does not share memory with the dataset', () => {
    const dataset = countingDataset(4);
    const { pixels, labels } = gather(dataset, permutation(4, 0, 0), 0, 4);
    pixels.fill(7);
    labels.fill(7);
    expect(dataset).toEqual(countingDataset(4));
  });

  it('refuses positions and samples beyond the end', () => {
    const dataset = countingDataset(4);
    const order = permutation(4, 0, 0);
    expect(() => gather(dataset, order, 0, 5)).toThrow('to: expected a whole number from 0 to 4, got 5');
    expect(() => gather(dataset, order, 3, 2)).toThrow('to: expected a whole number from 3 to 4, got 2');
    expect(() => gather(dataset, order, -1, 2)).toThrow('from: expected a whole number of at least 0, got -1');
    expect(() => gather(dataset, Uint32Array.of(4), 0, 1)).toThrow(
      'gather: expected samples below 4, got 4 at position 0',
    );
    expect(() => gatherPixels(new Uint8Array(7), 2, Uint32Array.of(0, 3))).toThrow(
      'gather: expected 8 bytes of images for sample 3, got 7',
    );
  });
});

describe('the geometry of a run', () => {
  it('has sizes that are whole numbers', () => {
    expect(() => stepsPerEpoch(0, 64)).toThrow('sampleCount: expected a whole number of at least 1, got 0');
    expect(() => stepsPerEpoch(10, 0)).toThrow('batchSize: expected a whole number of at least 1, got 0');
    expect(() => batchAt(-1, 10, 5)).toThrow('step: expected a whole number of at least 0, got -1');
    expect(() => microbatchCount(64, Number.NaN)).toThrow(
      'microbatchSize: expected a whole number of at least 1, got NaN',
    );
    expect(() => samplesOfShard(0, 0, 16, 64)).toThrow('n: expected a whole number of at least 1, got 0');
  });
});
