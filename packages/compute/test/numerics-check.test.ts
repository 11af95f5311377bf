import { fieldOf, nextTargets, tokenField, valueField } from '@lockstep/data';
import { parameterCount, resolveModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { model } from '../../sim/test/support.ts';
import {
  createNumericsCheck,
  NumericsComparison,
  numericsFault,
  type ReferenceGradient,
  referenceOf,
} from '../src/numerics-check.ts';

describe('the numerics check', () => {
  it('is the same for the same model and microbatch size', () => {
    expect(createNumericsCheck(model, 16)).toEqual(createNumericsCheck(model, 16));
  });

  it('is one and a half microbatches, with labels that the model has', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), (microbatchSize) => {
        const { weights, samples, targets, count } = createNumericsCheck(model, microbatchSize);
        expect(targets).toHaveLength(count);
        expect(count).toBe(microbatchSize + Math.ceil(microbatchSize / 2));
        expect(samples).toHaveLength(count * 4);
        expect(weights).toHaveLength(parameterCount(model) * 4);
        expect(Math.max(...targets)).toBeLessThan(3);
      }),
    );
  });

  it('is of floats, and of values to learn, if the data are', () => {
    const format = { sampleField: valueField([4]), targetField: valueField([3]) };
    const { samples, targets, count } = createNumericsCheck(model, 16, format);
    expect(samples).toBeInstanceOf(Float32Array);
    expect(targets).toBeInstanceOf(Float32Array);
    expect([samples.length, targets.length]).toEqual([4 * count, 3 * count]);
    expect([...samples, ...targets].every((value) => value >= -1 && value < 1)).toBe(true);
    expect(new Set(targets).size).toBeGreaterThan(count);
  });

  it('is of tokens in a text', () => {
    const text = { sampleField: tokenField(5, 300), targetField: fieldOf(nextTargets([], 4)) };
    const { samples, targets, count } = createNumericsCheck(model, 16, text);
    expect(samples).toBeInstanceOf(Uint16Array);
    expect([samples.length, targets.length]).toEqual([5 * count, 0]);
    expect(Math.max(...samples)).toBeLessThan(300);
    expect(new Set(samples).size).toBeGreaterThan(50);
  });

  it('is mostly zeros, like handwriting, except for every fourth sample', () => {
    const { samples, count } = createNumericsCheck(resolveModel('mlp'), 64);
    const size = samples.length / count;
    for (let sample = 0; sample < count; sample++) {
      const used = samples.subarray(sample * size, (sample + 1) * size).filter((pixel) => pixel > 0).length / size;
      if (sample % 4 === 3) expect(used).toBeGreaterThan(0.95);
      else expect(used).toBeLessThan(0.35);
    }
  });
});

const faultOf = (reference: ReferenceGradient, gradient: Float32Array) => numericsFault(reference, bytesOf(gradient));

describe('a worker’s gradient of the numerics check', () => {
  const expected = Float32Array.of(1, -2, 0, 1e-6);
  const reference = referenceOf(expected);

  it('may differ by rounding, relative to the largest value', () => {
    expect(faultOf(reference, expected)).toBeUndefined();
    expect(faultOf(reference, Float32Array.of(1.001, -2.001, 0.001, 0.0015))).toBeUndefined();
  });

  it.each([
    ['a wrong value', Float32Array.of(1.01, -2, 0, 1e-6)],
    ['a wrong sign', Float32Array.of(1, 2, 0, 1e-6)],
    ['nothing but zeros', new Float32Array(4)],
    ['the mean in place of the sum', expected.map((value) => value / 24)],
    ['NaN first', Float32Array.of(Number.NaN, -2, 0, 1e-6)],
    ['NaN in the middle', Float32Array.of(1, Number.NaN, 0, 1e-6)],
    ['NaN last', Float32Array.of(1, -2, 0, Number.NaN)],
    ['infinity', Float32Array.of(1, Number.NEGATIVE_INFINITY, 0, 1e-6)],
    ['too few values', Float32Array.of(1, -2, 0)],
    ['too many values', Float32Array.of(1, -2, 0, 1e-6, 0)],
  ])('is refused with a message for %s', (_, got) => {
    expect(faultOf(reference, got)).toMatch(/^numerics check: .+/);
  });

  it('is refused wherever its one wrong value lies', () => {
    fc.assert(
      fc.property(fc.nat({ max: 99 }), fc.constantFrom(Number.NaN, 1e3, Number.POSITIVE_INFINITY), (at, wrong) => {
        const right = Float32Array.from({ length: 100 }, (_, index) => Math.sin(index));
        const got = right.slice();
        got[at] = wrong;
        expect(faultOf(referenceOf(right), got)).toBeDefined();
      }),
    );
  });

  it('is compared in a million of its values if it is long, and a layer that is wrong is found', () => {
    const length = 5_000_001;
    const right = Float32Array.from({ length }, (_, index) => Math.sin(index));
    const sampled = referenceOf(right);
    expect(sampled.values.length).toBeLessThanOrEqual(2 ** 20);
    expect(faultOf(sampled, right)).toBeUndefined();
    const wrongLayer = right.slice().fill(0, 4_000_000, 4_001_000);
    expect(faultOf(sampled, wrongLayer)).toMatch(/^numerics check: this worker/);
    expect(faultOf(sampled, right.subarray(1))).toMatch('expected a gradient of 5000001 values, got 5000000');
  });

  it('is found the same however it is cut into parts, at any alignment', () => {
    const right = Float32Array.from({ length: 60 }, (_, index) => Math.sin(index));
    fc.assert(
      fc.property(
        fc.nat({ max: 59 }),
        fc.constantFrom(0, 1e-5, 1, Number.NaN),
        fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 7 }),
        (at, change, lengths, every) => {
          const values = Float32Array.from({ length: Math.ceil(60 / every) }, (_, index) => right[index * every]!);
          const got = right.slice();
          got[at] = got[at]! + change;
          const comparison = new NumericsComparison({ length: 60, values, every });
          let from = 0;
          for (const length of [...lengths, 60]) {
            const part = bytesOf(got.subarray(from, from + length));
            const shifted = new Uint8Array(part.length + 1);
            shifted.set(part, 1);
            comparison.add(shifted.subarray(1));
            from = Math.min(60, from + length);
          }
          const isFound = at % every === 0 && !(Math.abs(change) < 1e-3);
          expect(comparison.fault() !== undefined).toBe(isFound);
          expect(comparison.fault()).toBe(faultOf({ length: 60, values, every }, got));
        },
      ),
    );
  });
});
