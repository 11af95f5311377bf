import { initialize, inputSize, parameterCount, resolveModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { xorshift32 } from '../src/random.ts';
import { halvesOf, nextPowerOfTwo, type Shard } from '../src/tree.ts';
import { createLocalCompute } from '../src/worker/local-compute.ts';
import { hostBackend, model } from './support.ts';

function samplesOf(seed: number, count: number, size: number): { pixels: Uint8Array; labels: Uint8Array } {
  const random = xorshift32(seed);
  return {
    pixels: Uint8Array.from({ length: count * size }, () => random() >>> 24),
    labels: Uint8Array.from({ length: count }, () => (random() >>> 8) % 3),
  };
}

describe.each(['reference', 'cpu'] as const)('a compute in this thread, on %s', (name) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await hostBackend(name);
  });

  const opened = async (microbatchSize: number) => {
    let now = 0;
    const compute = createLocalCompute(backend, { nowMs: () => (now += 5) });
    await compute.open({ model, microbatchSize });
    compute.setWeights(bytesOf(initialize(model, 3)));
    return compute;
  };

  it('sums its microbatches in the order of the tree: a shard has the bits of the sum of its halves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(),
        async (count, microbatchSize, seed) => {
          const { pixels, labels } = samplesOf(seed, count, 4);
          const compute = await opened(microbatchSize);
          const floatsOf = async (from: number, to: number) =>
            new Float32Array(
              (await compute.gradient(pixels.subarray(from * 4, to * 4), labels.subarray(from, to))).gradient.slice()
                .buffer,
            );
          const byHalves = async (shard: Shard): Promise<Float32Array> => {
            const [left, right] = shard.n === 1 ? [shard, undefined] : halvesOf(shard);
            if (!right) return floatsOf(shard.lo * microbatchSize, Math.min(count, (shard.lo + 1) * microbatchSize));
            const sum = await byHalves(left);
            if (right.lo * microbatchSize >= count) return sum;
            const other = await byHalves(right);
            return sum.map((value, index) => value + other[index]!);
          };
          const microbatches = nextPowerOfTwo(Math.ceil(count / microbatchSize));
          expect(await floatsOf(0, count)).toEqual(await byHalves({ lo: 0, n: microbatches }));
          await compute.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('tells how many samples, how many right, and how long it took', async () => {
    const compute = await opened(4);
    const { pixels, labels } = samplesOf(1, 10, 4);
    const { count, correct, computeMs, lossSum, gradient } = await compute.gradient(pixels, labels);
    expect({ count, computeMs }).toEqual({ count: 10, computeMs: 5 });
    expect(Number.isInteger(correct) && correct >= 0 && correct <= 10).toBe(true);
    expect(lossSum / 10).toBeGreaterThan(0.5);
    expect(gradient).toHaveLength(parameterCount(model) * 4);
    await compute.close();
  });

  it('returns memory that the next shard does not change', async () => {
    const compute = await opened(4);
    const first = await compute.gradient(...pair(samplesOf(1, 9, 4)));
    const before = first.gradient.slice();
    await compute.gradient(...pair(samplesOf(2, 9, 4)));
    expect(first.gradient).toEqual(before);
    await compute.close();
  });

  it('leaves the gradient in memory that it is given', async () => {
    const compute = await opened(4);
    const { pixels, labels } = samplesOf(3, 9, 4);
    const own = await compute.gradient(pixels, labels);
    const shared = new Float32Array(
      new SharedArrayBuffer(4 * (parameterCount(model) + 3)),
      4,
      parameterCount(model) + 2,
    );
    const left = await compute.gradient(pixels, labels, undefined, shared);
    expect(left.gradient.buffer).toBe(shared.buffer);
    expect(left.gradient.byteOffset).toBe(4);
    expect(left).toEqual(own);
    await compute.close();
  });

  it('computes kept samples as if they had come with the shard, in any order and until the next opening', async () => {
    const compute = await opened(4);
    const { pixels, labels } = samplesOf(7, 12, 4);
    const table = compute.keepPixels(12, 4);
    for (let number = 0; number < 12; number++) table.write(number, pixels.subarray(number * 4, (number + 1) * 4));
    expect(() => compute.keepPixels(2 ** 40, 1)).toThrow('compute: expected samples of 4 pixels, got some of 1');
    const numbers = Uint32Array.of(11, 3, 3, 0, 7, 8, 2, 10, 1);
    const own = Uint8Array.from([...numbers].flatMap((number) => [...table.read(number)]));
    const named = labels.slice(0, 9);
    expect(await compute.gradient({ numbers }, named)).toEqual(await compute.gradient(own, named));
    await expect(compute.gradient({ numbers: Uint32Array.of(12) }, Uint8Array.of(0))).rejects.toThrow(
      'table: expected a row below 12, got 12',
    );
    await expect(compute.gradient({ numbers }, named.subarray(1))).rejects.toThrow(
      'compute: expected the numbers of 8 samples, got 9',
    );
    await compute.open({ model, microbatchSize: 4 });
    await expect(compute.gradient({ numbers }, named)).rejects.toThrow('expected keepPixels() before');
    await compute.close();
  });

  it('reads weights at any alignment, and does not keep the bytes', async () => {
    const compute = await opened(4);
    const { pixels, labels } = samplesOf(5, 6, 4);
    const expected = (await compute.gradient(pixels, labels)).gradient;
    const weights = bytesOf(initialize(model, 3));
    const shifted = new Uint8Array(weights.length + 1);
    shifted.set(weights, 1);
    compute.setWeights(shifted.subarray(1));
    shifted.fill(0);
    expect((await compute.gradient(pixels, labels)).gradient).toEqual(expected);
    await compute.close();
  });

  it('shows what is not finite in its loss', async () => {
    const compute = await opened(4);
    compute.setWeights(bytesOf(new Float32Array(parameterCount(model)).fill(Number.NaN)));
    expect((await compute.gradient(...pair(samplesOf(5, 6, 4)))).lossSum).toBeNaN();
    await compute.close();
  });

  it('opens anew for another run', async () => {
    const compute = await opened(4);
    const larger = resolveModel('mlp');
    await compute.open({ model: larger, microbatchSize: 2 });
    compute.setWeights(bytesOf(initialize(larger, 1)));
    const { gradient } = await compute.gradient(...pair(samplesOf(1, 3, inputSize(larger))));
    expect(gradient).toHaveLength(parameterCount(larger) * 4);
    await compute.close();
  });

  it('refuses a model that is none, shards before open, and wrong lengths, each in a sentence', async () => {
    const compute = createLocalCompute(backend, { nowMs: () => 0 });
    expect(() => compute.setWeights(new Uint8Array(4))).toThrow('expected open() before weights and shards');
    await expect(compute.gradient(new Uint8Array(4), new Uint8Array(1))).rejects.toThrow('expected open()');
    await expect(compute.open({ model: { layers: 'none' }, microbatchSize: 4 })).rejects.toThrow(/^model: /);
    await compute.open({ model, microbatchSize: 4 });
    expect(() => compute.setWeights(new Uint8Array(4))).toThrow(/43 values/);
    await expect(compute.gradient(new Uint8Array(5), new Uint8Array(1))).rejects.toThrow(/expected 4 pixels, got 5/);
    await compute.close();
  });
});

const pair = ({ pixels, labels }: { pixels: Uint8Array; labels: Uint8Array }): [Uint8Array, Uint8Array] => [
  pixels,
  labels,
];
