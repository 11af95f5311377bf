/** The samples that the runs of a comparison train on. */
import type { Dataset } from '@lockstep/data';
import { describe, expect, it } from 'vitest';
import { runDataOf } from '../src/compare/run-data.ts';

function dataset(count: number) {
  const labels = Uint16Array.from({ length: count }, (_, at) => at % 10);
  const samples = Uint8Array.from({ length: 2 * count }, (_, at) => at % 256);
  return { count, sampleShape: [2], samples, targets: { type: 'classes', names: [], labels } } satisfies Dataset;
}

describe('what the runs of a comparison train on', () => {
  it.each([
    [60_000, [64, 2_048], 30_000],
    [60_000, [64, 40_000], 40_000],
    [500, [64], 500],
  ])('of %i samples and batches of %j is the first %i', (count, batches, expected) => {
    const all = dataset(count);
    const data = runDataOf(
      all,
      batches.map((batch) => ({ batch })),
    );
    expect(data).toEqual({
      ...all,
      count: expected,
      samples: all.samples.subarray(0, 2 * expected),
      targets: { ...all.targets, labels: dataset(expected).targets.labels },
    });
  });
});
