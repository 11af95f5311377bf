import { initialize } from '@lockstep/nn';
import { bytesOf, type Clock, floatsFrom } from '@lockstep/protocol';
import { nextPowerOfTwo } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { model } from '../../sim/test/support.ts';
import { createLocalCompute } from '../src/local-compute.ts';
import { openedCompute, testCompute } from './compute-suite.ts';
import { addVectors, sumOfTree } from './random-shards.ts';
import { hostBackend, samplesOf } from './support.ts';

describe.each(['reference', 'cpu'] as const)('a local compute on %s', (name) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await hostBackend(name);
  });

  const create = (clock: Pick<Clock, 'nowMs'>) => createLocalCompute(backend, clock);
  const opened = (microbatchSize: number) => openedCompute(create, microbatchSize);

  testCompute(create, 'upload: the storage holds 43 values, but 1 were given');

  it('adds microbatches in the order of the tree: a shard has the bits of the sum of its halves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(),
        async (count, microbatchSize, seed) => {
          const [pixels, labels] = samplesOf(seed, count);
          const compute = await opened(microbatchSize);
          const floatsOf = async (from: number, to: number) => {
            const shard = [pixels.subarray(from * 4, to * 4), labels.subarray(from, to)] as const;
            return floatsFrom((await compute.gradient(...shard)).gradient);
          };
          const parts: Float32Array[] = [];
          for (let from = 0; from < count; from += microbatchSize) {
            parts.push(await floatsOf(from, Math.min(count, from + microbatchSize)));
          }
          const root = { lo: 0, n: nextPowerOfTwo(parts.length) };
          const expected = sumOfTree(root, parts.length, (microbatch) => parts[microbatch]!, addVectors);
          expect(await floatsOf(0, count)).toEqual(expected);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('leaves the gradient in its own memory, wherever that moves, until the next shard', async () => {
    const compute = await opened(4);
    const own = await compute.gradient(...samplesOf(3, 9));
    const left = await compute.gradient(...samplesOf(3, 9), { inPlace: true });
    expect(left).toEqual(own);
    // Larger than the memory, so that it grows.
    compute.createByteCache!(2 ** 22, 4);
    expect(left).toEqual(own);
    await compute.gradient(...samplesOf(4, 9));
    expect(left.gradient).not.toEqual(own.gradient);
  });

  it('computes cached samples as if they were in the shard, in any order, until it is opened again', async () => {
    const compute = await opened(4);
    const [pixels, labels] = samplesOf(7, 12);
    const pixelsAt = (number: number): Uint8Array => pixels.subarray(number * 4, (number + 1) * 4);
    const cache = compute.createByteCache!(12, 4);
    for (let number = 0; number < 12; number++) cache.write(number, pixelsAt(number));
    expect(() => compute.createByteCache!(2 ** 40, 1)).toThrow('compute: expected samples of 4 bytes, got some of 1');
    const numbers = Uint32Array.of(11, 3, 3, 0, 7, 8, 2, 10, 1);
    const own = Uint8Array.from([...numbers].flatMap((number) => [...pixelsAt(number)]));
    const named = labels.slice(0, 9);
    expect(await compute.gradient(numbers, named)).toEqual(await compute.gradient(own, named));
    await expect(compute.gradient(Uint32Array.of(12), Uint16Array.of(0))).rejects.toThrow(
      'table: expected a row below 12, got 12',
    );
    await expect(compute.gradient(numbers, named.subarray(1))).rejects.toThrow(
      'compute: expected the numbers of 8 samples, got 9',
    );
    await compute.open({ model, microbatchSize: 4 });
    await expect(compute.gradient(numbers, named)).rejects.toThrow('expected createByteCache() before');
  });

  it('rounds the sums of each shard as that shard asks, whatever the one before it asked', async () => {
    const compute = await opened(2);
    const shard = samplesOf(6, 12);
    const units = [undefined, 2 ** 8, 1, undefined];
    const sums: Uint8Array[] = [];
    for (const halfUnit of units) {
      const { gradient } = await compute.gradient(...shard, { halfUnit });
      expect(gradient).toEqual((await (await opened(2)).gradient(...shard, { halfUnit })).gradient);
      sums.push(gradient.slice());
    }
    expect(new Set(sums.map(String)).size).toBe(3);
  });
});

describe('slices of a long shard', () => {
  /** Opens a compute to which every slice seems to take `lookMs`; a pause is a turn of the event loop. */
  const openedSlow = async (lookMs: number) => {
    let nowMs = 0;
    let pauses = 0;
    const clock = {
      nowMs: () => (nowMs += lookMs),
      after(_delayMs: number, callback: () => void) {
        pauses += 1;
        setImmediate(callback);
        return () => {};
      },
    };
    const compute = createLocalCompute(await hostBackend(), clock);
    await compute.open({ model, microbatchSize: 2 });
    compute.setWeights(bytesOf(initialize(model, 3)));
    return { compute, pauses: () => pauses };
  };

  it('give the bits of the whole, however long they take, with pauses between them', async () => {
    const whole = createLocalCompute(await hostBackend(), { nowMs: () => 0 });
    await whole.open({ model, microbatchSize: 2 });
    whole.setWeights(bytesOf(initialize(model, 3)));
    const pauses: number[] = [];
    for (const count of [1, 2, 3, 16, 37, 64]) {
      const [pixels, labels] = samplesOf(count, count);
      const { computeMs: _, ...expected } = await whole.gradient(pixels, labels);
      for (const lookMs of [0, 1, 7, 30, 60, 1000]) {
        const slow = await openedSlow(lookMs);
        const { computeMs: __, ...got } = await slow.compute.gradient(pixels, labels);
        expect(got).toEqual(expected);
        pauses.push(slow.pauses());
      }
    }
    // The first shard is computed in single microbatches, 32 here: a pause follows every eighth at 7 ms each, and every
    // one from 50 ms on.
    expect(pauses.slice(-6)).toEqual([0, 0, 3, 15, 31, 31]);
    expect(pauses.slice(0, 6)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('stop between two of them if the shard was canceled, or the compute was opened again', async () => {
    const [pixels, labels] = samplesOf(9, 64);
    const { compute, pauses } = await openedSlow(60);
    let asked = 0;
    const isCanceled = (): boolean => ++asked === 3;
    await expect(compute.gradient(pixels, labels, { isCanceled })).rejects.toThrow('the shard was canceled');
    expect([asked, pauses()]).toEqual([3, 3]);
    const overtaken = compute.gradient(pixels, labels);
    await compute.open({ model, microbatchSize: 2 });
    await expect(overtaken).rejects.toThrow('the shard was canceled');
    compute.setWeights(bytesOf(initialize(model, 3)));
    expect(await compute.gradient(pixels, labels)).toMatchObject({ count: 64 });
  });
});
