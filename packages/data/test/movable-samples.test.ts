import { describe, expect, it } from 'vitest';
import { classTargets, type Dataset, gatherSamples, movableSamples, moveSamples, samplesOf } from '../src/dataset.ts';

const datasetOf = (samples: Uint8Array | Float32Array): Dataset => ({
  samples: samplesOf(samples, [2]),
  count: samples.length / 2,
  targets: classTargets(new Uint16Array(samples.length / 2), ['one', 'other']),
});

describe('samples that can be moved', () => {
  it.each([Uint8Array, Float32Array])('are the same before and after, and lie in one place, as a %o', (Values) => {
    const values = [1, 2, 3, 4, 5, 6];
    const first = Values.from(values);
    const dataset = movableSamples(datasetOf(first));
    expect(dataset).toEqual(datasetOf(Values.from(values)));
    expect(dataset.samples.values).toBe(first);
    const copy = first.slice();
    moveSamples(dataset, () => copy);
    expect(dataset.samples.values).toBe(copy);
    expect(dataset).toEqual(datasetOf(Values.from(values)));
    expect(gatherSamples(dataset, Uint32Array.of(2, 0), 0, 2).samples).toEqual(Values.of(5, 6, 1, 2));
    expect(first).toHaveLength(0);
  });

  it('are read anew each time, since memory may grow', () => {
    const dataset = movableSamples(datasetOf(Uint8Array.of(7, 8)));
    let memory = Uint8Array.of(7, 8).buffer;
    moveSamples(dataset, () => new Uint8Array(memory));
    const before = dataset.samples.values;
    memory = structuredClone(memory, { transfer: [memory] });
    expect(before).toHaveLength(0);
    expect(dataset.samples.values).toEqual(Uint8Array.of(7, 8));
  });

  it('move once', () => {
    const dataset = movableSamples(datasetOf(Uint8Array.of(7, 8)));
    const [one, other] = [Uint8Array.of(7, 8), Uint8Array.of(7, 8)];
    moveSamples(dataset, () => one);
    moveSamples(dataset, () => other);
    expect(dataset.samples.values).toBe(one);
    expect(one).toHaveLength(2);
  });

  it('are only those of a data set that was made so', () => {
    const samples = Uint8Array.of(7, 8);
    const dataset = datasetOf(samples);
    moveSamples(dataset, () => Uint8Array.of(1, 1));
    expect(dataset.samples.values).toBe(samples);
    expect(samples).toHaveLength(2);
  });
});
