/** Random values: Philox's published words, dropout that depends only on its keys, creation. */
import { describe, expect, it } from 'vitest';
import {
  arange,
  compile,
  dropout,
  fromArray,
  full,
  normal,
  ones,
  philox,
  randomKey,
  randomUniform,
  sum,
  type Tensor,
  tidy,
  uniform,
  valueAndGrad,
  zeros,
} from '../src/index.ts';
import { bitsOf, openAll } from './support.ts';

const backends = await openAll();

it.each([
  // Known-answer tests that the authors publish with Random123.
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
] as [[number, number, number, number], [number, number], number[]][])(
  'philox of %o under %o',
  (counter, key, words) => {
    const result = new Uint32Array(4);
    philox(result, counter, key);
    expect([...result]).toEqual(words);
  },
);

describe.each(backends)('$name', (backend) => {
  const read = (tensor: Tensor): Float32Array => backend.view(tensor.storage).slice();
  const keysOf = (seed: number, step: number, samples: readonly number[], stream = 0) => ({
    key: fromArray(backend, randomKey(seed, step)),
    samples: fromArray(backend, samples),
    stream,
  });
  const drawn = (seed: number, step: number, samples: readonly number[], columns: number, stream = 0): Float32Array =>
    tidy(() => read(randomUniform(keysOf(seed, step, samples, stream), columns)));

  it('draws the words that philox gives for the counter', () => {
    const words = new Uint32Array(4);
    const values = drawn(0x89abcdef, 0x12345, [7, 16_777_215], 11, 5);
    for (let index = 0; index < values.length; index++) {
      const column = index % 11;
      philox(words, [Math.floor(column / 4), index < 11 ? 7 : 16_777_215, 0x12345, 0], [0x89abcdef, 5]);
      expect(values[index]).toBe((words[column % 4]! >>> 8) / 2 ** 24);
    }
  });

  it('draws the same for a sample whatever the others are, and other values for another seed, step, sample or stream', () => {
    const together = drawn(1, 2, [30, 31, 32, 33], 50);
    expect(drawn(1, 2, [32], 50)).toEqual(together.subarray(100, 150));
    expect(drawn(1, 2, [33, 30], 50)).toEqual(
      Float32Array.of(...together.subarray(150, 200), ...together.subarray(0, 50)),
    );
    const first = together.subarray(0, 50);
    for (const other of [
      drawn(2, 2, [30], 50),
      drawn(1, 3, [30], 50),
      drawn(1, 2, [34], 50),
      drawn(1, 2, [30], 50, 1),
    ]) {
      expect(other.filter((value, index) => value === first[index]).length).toBe(0);
    }
  });

  it('is uniform: mean, variance and buckets', () => {
    const values = drawn(9, 0, [1], 40_000);
    const mean = values.reduce((total, value) => total + value, 0) / values.length;
    const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.006);
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
    for (let bucket = 0; bucket < 10; bucket++) {
      const share = values.filter((value) => Math.floor(value * 10) === bucket).length / values.length;
      expect(Math.abs(share - 0.1)).toBeLessThan(0.007);
    }
  });

  it('drops about the rate, scales the rest, and gives the gradient the same mask', () => {
    tidy(() => {
      const x = full(backend, [20, 30, 10], 3);
      const keys = keysOf(
        4,
        0,
        Array.from({ length: 20 }, (__, index) => index),
      );
      const { value, gradients } = valueAndGrad((v) => sum(dropout(v!, 0.25, keys)), [x]);
      const gradient = read(gradients[0]!);
      const kept = gradient.filter((entry) => entry !== 0);
      expect(Math.abs(kept.length / gradient.length - 0.75)).toBeLessThan(0.02);
      expect(new Set(kept)).toEqual(new Set([Math.fround(4 / 3)]));
      expect(read(value)[0]).toBeCloseTo(kept.length * 4, 0);
      expect(read(dropout(x, 1, keys)).every((entry) => entry === 0)).toBe(true);
      expect(read(dropout(x, 0, keys)).every((entry) => entry === 3)).toBe(true);
    });
  });

  it('follows keys that change between the runs of a plan, with the bits of eager execution', () => {
    const shape = [4, 23];
    const loss = (x: Tensor, key: Tensor, samples: Tensor): Tensor[] => {
      const { value, gradients } = valueAndGrad((v) => sum(dropout(v!, 0.5, { key, samples, stream: 3 })), [x]);
      return [value, gradients[0]!];
    };
    const plan = compile(backend, (x, key, samples) => loss(x!, key!, samples!), [shape, [4], [4]]);
    const seen = [0, 1].map((step) => {
      const samples = [step * 4, step * 4 + 1, step * 4 + 2, step * 4 + 3];
      backend.upload(plan.inputs[0]!.storage, new Float32Array(92).fill(1.5));
      backend.upload(plan.inputs[1]!.storage, randomKey(11, step));
      backend.upload(plan.inputs[2]!.storage, Float32Array.from(samples));
      plan.run();
      const planned = plan.outputs.map(read);
      const eager = tidy(() => {
        const { key, samples: numbers } = keysOf(11, step, samples);
        return loss(full(backend, shape, 1.5), key, numbers).map(read);
      });
      expect(planned.map(bitsOf)).toEqual(eager.map(bitsOf));
      return planned[1]!;
    });
    expect(seen[0]).not.toEqual(seen[1]);
    plan.dispose();
  });

  it('says what keys must be', () => {
    const keys = keysOf(0, 0, [0, 1]);
    const x = zeros(backend, [3, 2]);
    expect(() => dropout(x, 0.5, keys)).toThrow('one sample for each element of the first axis of [3, 2], got [2]');
    expect(() => dropout(x, 1.5, keys)).toThrow('dropout: the rate must be in [0, 1], got 1.5');
    expect(() => randomKey(-1, 0)).toThrow('randomKey: the seed must be a whole number in [0, 2^32), got -1');
    expect(() => randomUniform({ ...keys, stream: 0.5 }, 2)).toThrow('the stream must be a whole number');
  });

  it('makes constants and ranges', () => {
    expect([...read(zeros(backend, [2, 2])), ...read(ones(backend, [1])), ...read(full(backend, [], 2.5))]).toEqual([
      0, 0, 0, 0, 1, 2.5,
    ]);
    expect([...read(arange(backend, 4))]).toEqual([0, 1, 2, 3]);
    expect([...read(arange(backend, -1, { start: 1, step: -0.5 }))]).toEqual([1, 0.5, 0, -0.5]);
    expect(arange(backend, 0).shape).toEqual([0]);
    expect(() => arange(backend, 1, { step: 0 })).toThrow('the step not 0');
    expect(ones(backend, [2], { requiresGrad: true }).requiresGrad).toBe(true);
  });

  it('draws seeded uniform and normal values, the same on every backend', () => {
    const first = read(uniform(backend, [1000], 3, { low: -2, high: 4 }));
    expect(first.every((value) => value >= -2 && value < 4)).toBe(true);
    expect(read(uniform(backend, [1000], 4))).not.toEqual(read(uniform(backend, [1000], 3)));
    const values = read(normal(backend, [40_000], 5, { mean: 1, standardDeviation: 2 }));
    const moment = (power: number): number =>
      values.reduce((total, value) => total + ((value - 1) / 2) ** power, 0) / values.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(moment(3))).toBeLessThan(0.06);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
    expect(read(normal(backend, [3], 5, { mean: 1, standardDeviation: 2 }))).toEqual(values.subarray(0, 3));
    expect(() => normal(backend, [1], 0.5)).toThrow('normal: the seed must be a whole number in [0, 2^32), got 0.5');
  });
});

it('creation has the same bits on every backend', () => {
  const [expected, ...others] = backends.map((backend) =>
    [uniform(backend, [257], 8), normal(backend, [257], 8)].map((made) => bitsOf(backend.view(made.storage))),
  );
  for (const other of others) expect(other).toEqual(expected);
});
