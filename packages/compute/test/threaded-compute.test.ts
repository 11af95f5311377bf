/** A compute on several threads gives the same bits as on one, shard after shard. */
import { initialize, parseModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { describe, expect, it } from 'vitest';
import { createLocalCompute } from '../src/local-compute.ts';
import { hostBackend, withoutTime } from './support.ts';

const models = [
  {
    name: 'dense',
    input: [36],
    layers: [
      { type: 'dense', units: 40 },
      { type: 'relu' },
      { type: 'dropout', rate: 0.2 },
      { type: 'dense', units: 4 },
    ],
  },
  {
    name: 'convolutional',
    input: [6, 6, 1],
    layers: [
      { type: 'conv2d', filters: 3, kernel: 3, padding: 1 },
      { type: 'relu' },
      { type: 'maxPool2d', window: 2 },
      { type: 'flatten' },
      { type: 'dense', units: 4 },
    ],
  },
].map((data) => parseModel(data));

const pixelsOf = (count: number, seed: number): Uint8Array =>
  Uint8Array.from(
    { length: count * 36 },
    (_, index) => ((index * 31 * seed + (index >> 3)) & 255) * (index % 3 === 0 ? 1 : 0),
  );
const labelsOf = (count: number): Uint16Array => Uint16Array.from({ length: count }, (_, index) => index % 4);

describe.each([2, 3, 5])('%i threads', (threads) => {
  it('give the bits of one, for shards of any size, of pixels or of cached samples, and for new weights', async () => {
    const alone = createLocalCompute(await hostBackend(), { nowMs: () => 0 });
    const { backend } = await openBackend('cpu', nodeThreads(threads));
    // A clock that can call back cuts shards into turns by the time that they take.
    const together = createLocalCompute(backend, {
      nowMs: () => performance.now(),
      after(_delayMs, callback) {
        setImmediate(callback);
        return () => {};
      },
    });
    expect(together.threads).toBe(threads);
    for (const model of models) {
      for (const compute of [alone, together]) await compute.open({ model, microbatchSize: 8 });
      for (const seed of [1, 2]) {
        for (const compute of [alone, together]) compute.setWeights(bytesOf(initialize(model, seed)));
        const [samples, cache] = [pixelsOf(40, seed), together.createByteCache!(40, 36)];
        for (let number = 0; number < 40; number++)
          cache.write(number, samples.subarray(36 * number, 36 * number + 36));
        for (const count of [20, 3, 64, 8, 129, 57, 300]) {
          const key = { seed: 2 ** 32 - 5, step: seed, firstSample: 16 };
          const expected = await alone.gradient(pixelsOf(count, seed), labelsOf(count), { key });
          const got = await together.gradient(pixelsOf(count, seed), labelsOf(count), { key });
          expect(withoutTime(got)).toEqual(withoutTime(expected));
          const numbers = Uint32Array.from({ length: count }, (_, index) => (index * 23 + seed) % 40);
          const own = Uint8Array.from(
            [...numbers].flatMap((number) => [...samples.subarray(36 * number, 36 * number + 36)]),
          );
          const cached = await together.gradient(numbers, labelsOf(count), { key });
          expect(withoutTime(cached)).toEqual(withoutTime(await alone.gradient(own, labelsOf(count), { key })));
        }
      }
    }
    await together.close();
    await backend.close?.();
  });
});

it('rejects with a sentence once a thread has ended', async () => {
  const { backend } = await openBackend('cpu', nodeThreads(2));
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model: models[0]!, microbatchSize: 8 });
  compute.setWeights(bytesOf(initialize(models[0]!, 1)));
  await compute.gradient(pixelsOf(16, 1), labelsOf(16));
  await backend.close?.();
  await expect(compute.gradient(pixelsOf(16, 1), labelsOf(16))).rejects.toThrow('the compute threads have ended');
});
