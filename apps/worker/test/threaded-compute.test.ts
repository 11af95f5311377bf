/** The built compute threads: they give the bits of one thread, shard after shard, and report errors. */
import { initialize, parseModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { type Compute, createLocalCompute, type ShardGradient } from '@lockstep/training';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const model = parseModel({
  name: 'small',
  input: [12],
  layers: [{ type: 'dense', units: 9 }, { type: 'relu' }, { type: 'dropout', rate: 0.2 }, { type: 'dense', units: 4 }],
});
const setup = { model, microbatchSize: 8 };

let start: (choice: 'auto' | 'cpu' | 'reference', threads: number) => Promise<Required<Compute>>;
let local: Compute;

beforeAll(async () => {
  const program = new URL('../dist/threaded-compute.js', import.meta.url).href;
  const { startThreadedCompute } = await import(/* @vite-ignore */ program);
  start = async (choice, threads) => (await startThreadedCompute(choice, threads)).compute;
  local = createLocalCompute((await openBackend('cpu')).backend, { nowMs: () => 0 });
  await local.open(setup);
});

afterAll(() => local.close());

const pixelsOf = (count: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: count * 12 }, (_, index) => (index * 31 * seed + (index >> 3)) & 255);
const labelsOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => index % 4);
const withoutTime = ({ computeMs: _, ...rest }: ShardGradient) => rest;

describe.each([1, 2, 3, 5])('%i threads', (threads) => {
  it('give the bits of one thread, for shards of any size, and for new weights', async () => {
    const threaded = await start('cpu', threads);
    try {
      expect(threaded.threads).toBe(threads);
      expect(threaded.numericMode).toBe(local.numericMode);
      await threaded.open(setup);
      for (const seed of [1, 2]) {
        const weights = bytesOf(initialize(model, seed));
        local.setWeights(weights);
        threaded.setWeights(weights);
        // Growing and shrinking, with short last microbatches and with fewer microbatches than threads.
        for (const count of [20, 3, 64, 8, 129, 57]) {
          const key = { seed: 2 ** 32 - 5, step: seed, firstSample: 16 };
          const expected = await local.gradient(pixelsOf(count, seed), labelsOf(count), { key });
          const got = await threaded.gradient(pixelsOf(count, seed), labelsOf(count), { key });
          expect(withoutTime(got)).toEqual(withoutTime(expected));
          const into = new Float32Array(expected.gradient.length / 4 + 2);
          const left = await threaded.gradient(pixelsOf(count, seed), labelsOf(count), { key, into });
          expect(left.gradient.buffer).toBe(into.buffer);
          expect(withoutTime(left)).toEqual(withoutTime(expected));
        }
        // A new cache for each seed, so that the threads get other memory; shards in between bring their own pixels.
        const [samples, cache] = [pixelsOf(40, seed), threaded.createPixelCache(40, 12)];
        const pixelsAt = (number: number): Uint8Array => samples.subarray(number * 12, (number + 1) * 12);
        for (let number = 0; number < 40; number++) cache.write(number, pixelsAt(number));
        expect(() => cache.write(0, new Uint8Array(11))).toThrow('samples: expected 12 pixels, got 11');
        expect(() => threaded.createPixelCache(2 ** 40, 11)).toThrow(
          'compute: expected samples of 12 pixels, got some of 11',
        );
        for (const count of [33, 5, 40]) {
          const numbers = Uint32Array.from({ length: count }, (_, index) => (index * 23 + seed) % 40);
          const own = Uint8Array.from([...numbers].flatMap((number) => [...pixelsAt(number)]));
          const expected = await local.gradient(own, labelsOf(count));
          expect(withoutTime(await threaded.gradient(numbers, labelsOf(count)))).toEqual(withoutTime(expected));
          expect(withoutTime(await threaded.gradient(own, labelsOf(count)))).toEqual(withoutTime(expected));
        }
      }
    } finally {
      await threaded.close();
    }
  });
});

describe('two threads', () => {
  it('compute again after a failure, and with another model', async () => {
    const threaded = await start('reference', 2);
    try {
      await expect(threaded.gradient(pixelsOf(8, 1), labelsOf(8))).rejects.toThrow('expected open() before');
      await threaded.open(setup);
      expect(() => threaded.setWeights(new Uint8Array(4))).toThrow('bytes, got 4');
      await expect(threaded.open({ ...setup, model: { nothing: true } })).rejects.toThrow();
      const wide = parseModel({ name: 'wide', input: [12], layers: [{ type: 'dense', units: 4 }] });
      await threaded.open({ model: wide, microbatchSize: 4 });
      threaded.setWeights(bytesOf(initialize(wide, 1)));
      const { gradient, count } = await threaded.gradient(pixelsOf(10, 1), labelsOf(10));
      expect(gradient).toHaveLength(4 * (12 * 4 + 4));
      expect(count).toBe(10);
    } finally {
      await threaded.close();
    }
    await expect(threaded.gradient(pixelsOf(8, 1), labelsOf(8))).rejects.toThrow('the compute thread ended');
  });

  it('are closed where they cannot open their backend, with the reason', async () => {
    await expect(start('nothing' as 'cpu', 2)).rejects.toThrow();
  });
});
