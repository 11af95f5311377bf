/** The built thread of a background compute gives the same bits as this thread, shard by shard, and reports errors. */

import { type Compute, createLocalCompute } from '@lockstep/compute';
import { initialize, parseModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import { samplesOf, withoutTime } from '../../compute/test/support.ts';

const model = parseModel({
  name: 'small',
  input: [12],
  layers: [{ type: 'dense', units: 9 }, { type: 'relu' }, { type: 'dropout', rate: 0.2 }, { type: 'dense', units: 4 }],
});
const setup = { model, microbatchSize: 8 };

let start: (choice: string) => Promise<{ compute: Compute; choice: string; refused: readonly string[] }>;

beforeAll(async () => {
  const program = new URL('../dist/open-compute.js', import.meta.url).href;
  start = (await import(/* @vite-ignore */ program)).startBackgroundCompute;
});

describe('a background compute', () => {
  it('gives the bits of a compute here, shard after shard, and for new weights', async () => {
    const local = createLocalCompute((await openBackend('reference')).backend, { nowMs: () => 0 });
    await local.open(setup);
    const { compute, choice, refused } = await start('reference');
    expect(choice).toMatch(/^computing on reference/);
    expect(refused).toEqual([]);
    expect(compute).toMatchObject({ backend: 'reference', numericMode: local.numericMode, threads: 1 });
    await compute.open(setup);
    for (const seed of [1, 2]) {
      for (const each of [local, compute]) each.setWeights(bytesOf(initialize(model, seed)));
      for (const count of [20, 3, 64]) {
        const key = { seed: 2 ** 32 - 5, step: seed, firstSample: 16 };
        const expected = await local.gradient(...samplesOf(seed, count, 12), { key });
        const got = await compute.gradient(...samplesOf(seed, count, 12), { key });
        expect(withoutTime(got)).toEqual(withoutTime(expected));
      }
    }
    await compute.close();
    await local.close();
  });

  it('refuses to round sums, which a GPU does in its own way', async () => {
    const { compute } = await start('reference');
    await compute.open(setup);
    compute.setWeights(bytesOf(initialize(model, 1)));
    await expect(compute.gradient(...samplesOf(1, 8, 12), { halfUnit: 1 })).rejects.toThrow('rounds no sums');
    await compute.close();
  });

  it('computes again after a failure, and ends with a sentence', async () => {
    const { compute } = await start('reference');
    await expect(compute.gradient(...samplesOf(1, 8, 12))).rejects.toThrow('expected open() before');
    await expect(compute.open({ ...setup, model: { nothing: true } })).rejects.toThrow(/^name: expected a value/);
    await compute.open(setup);
    compute.setWeights(new Uint8Array(4));
    await expect(compute.gradient(...samplesOf(1, 8, 12))).rejects.toThrow(/values/);
    compute.setWeights(bytesOf(initialize(model, 1)));
    expect(await compute.gradient(...samplesOf(1, 8, 12))).toMatchObject({ count: 8 });
    await compute.close();
    await expect(compute.gradient(...samplesOf(1, 8, 12))).rejects.toThrow('the compute thread ended');
  });

  it('cannot be started on what cannot be opened, with the reason', async () => {
    await expect(start('nothing')).rejects.toThrow();
  });
});
