/** The coordinator's own sum over a shard, and the memory for it. */
import { classField } from '@lockstep/data';
import { initialize, parseModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { firstSample, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { createReferee, type ShardSource } from '../src/inline-compute.ts';
import { createLocalCompute } from '../src/local-compute.ts';
import { ParameterServer } from '../src/parameter-server.ts';

const seed = 7;
const plan = planRun({ samples: 64, batch: 32, microbatchSize: 4, epochs: 1 });

/** The referee keeps its vectors for small models, and returns them for large ones. */
const hiddenUnits = { small: 16, large: 1_400 };

async function open(units: number) {
  const layers = [{ type: 'dense', units }, { type: 'relu' }, { type: 'dense', units: 10 }];
  const model = parseModel({ name: 'two-layers', input: [784], layers });
  const { backend } = await openBackend('cpu');
  const weights = initialize(model, seed);
  const optimizer = { type: 'sgd', learningRate: 0.1 } as const;
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const samples: ShardSource = {
    shard(step, lo, n) {
      const count = n * plan.microbatchSize;
      const from = firstSample(plan, step, lo);
      const pixels = Uint8Array.from({ length: count * 784 }, (_, index) => ((from + index) * 151) % 256);
      const targets = Uint16Array.from({ length: count }, (_, index) => (from + index) % 10);
      return { samples: pixels, targets, count };
    },
  } as ShardSource;
  const referee = createReferee({ model, targetField: classField, plan, samples, seed, parameterServer });
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model, microbatchSize: plan.microbatchSize });
  compute.setWeights(bytesOf(weights));
  return { backend, parameterServer, samples, referee, compute };
}

describe.each(Object.entries(hiddenUnits))('the referee of a %s model', (_name, units) => {
  it.each([1, 2, 8])('computes a shard of %i microbatches to the bit as a worker does', async (n) => {
    const { parameterServer, samples, referee, compute } = await open(units);
    const { aggregator, parameterCount } = parameterServer;
    const { memory, count } = await referee(0, { lo: 0, n });
    const shard = samples.shard(0, 0, n);
    const expected = await compute.gradient(shard.samples, shard.targets);
    const values = aggregator.valuesOf(memory);
    expect(count).toBe(expected.count);
    expect(Buffer.compare(bytesOf(values.slice(0, parameterCount)), expected.gradient)).toBe(0);
    expect([...values.slice(parameterCount)]).toEqual([expected.lossSum, expected.correct]);
  });

  it('reserves one vector, and takes no more memory for the next shard once that is given back', async () => {
    const { backend, parameterServer, referee } = await open(units);
    const { aggregator } = parameterServer;
    const sizes: number[] = [];
    for (let time = 0; time < 4; time++) {
      const { memory } = await referee(0, { lo: 0, n: 8 });
      expect(aggregator.reservedCount).toBe(1);
      aggregator.release(memory);
      expect(aggregator.reservedCount).toBe(0);
      sizes.push(backend.view(parameterServer.parameters).buffer.byteLength);
    }
    expect(new Set(sizes).size).toBe(1);
  });
});
