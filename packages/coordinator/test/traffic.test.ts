/** Traffic of a run: gradients without zeros, or rounded if the run asks for it, and each sample once. */

import { createLocalCompute } from '@lockstep/compute';
import { classTargets, type Dataset, samplesOf } from '@lockstep/data';
import { parseModel } from '@lockstep/nn';
import { bytesOf, decodeVector, type MessageOf, memoryPair } from '@lockstep/protocol';
import { defaultLimits, exactnessOf, planRun } from '@lockstep/rules';
import { Session } from '@lockstep/worker/internal';
import { describe, expect, it } from 'vitest';
import { hash, hostBackend } from '../../compute/test/support.ts';
import { placing } from '../../protocol/test/placing.ts';
import { GradientEncoder } from '../../worker/src/answers.ts';
import { createRunOf, observed } from './run-fixture.ts';

const model = parseModel({
  name: 'margins',
  input: [64],
  layers: [{ type: 'dense', units: 64 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

/** Images of 8 x 8 with an empty upper half, so that half of the first layer's gradient is 0. */
const pixels = Uint8Array.from({ length: 40 * 64 }, (_, index) => (index % 64 < 32 ? 0 : (index * 97) & 255));
const dataset: Dataset = {
  samples: samplesOf(pixels, [8, 8, 1]),
  count: 40,
  targets: classTargets(
    Uint16Array.from({ length: 40 }, (_, index) => index % 3),
    ['a', 'b', 'c'],
  ),
};

interface Limits {
  readonly sampleCacheBytes?: number;
  /** By default, gradients arrive in frames, and whole. */
  readonly chunkBytes?: number;
}

/** @param chunkBytes of gradients that are read into the coordinator's memory at once */
async function train(roundsToHalves: boolean, workers: number, { sampleCacheBytes = 0, chunkBytes }: Limits = {}) {
  const backend = await hostBackend();
  const plan = planRun({ samples: 40, batch: 16, microbatchSize: 4, epochs: 3, roundsToHalves });
  const limits = { ...defaultLimits, ...(chunkBytes !== undefined && { chunkBytes }) };
  const parts = await createRunOf({ backend, model, dataset, plan, setup: { startWorkers: workers, limits } });
  const { run, clock, parameterServer, weights: initial, expected } = parts;
  const sent: MessageOf<'gradient'>[] = [];
  const tasksSent = Array.from({ length: workers }, (): MessageOf<'task'>[] => []);
  const sessions = tasksSent.map((tasks, index) => {
    const pair = memoryPair({ encode: true });
    run.connect(chunkBytes === undefined ? pair.coordinator : placing(pair.coordinator));
    const transport = observed(pair.worker, {
      received: (message) => message.type === 'task' && tasks.push(message),
      sent: (message) => message.type === 'gradient' && sent.push(message),
    });
    const identity = { kind: 'node', name: `worker-${index}` } as const;
    const compute = createLocalCompute(backend, clock);
    return new Session({ transport, compute, identity, clock, hash, sampleCacheBytes });
  });
  expect(await run.outcome).toEqual({ type: 'finished' });
  await Promise.all(sessions.map((session) => session.ended));
  expect(exactnessOf(run.state)).toBe('bit-exact');
  return { weights: parameterServer.weights(), initial, expected: expected(), sent, tasksSent };
}

const distance = (left: Float32Array, right: Float32Array): number =>
  Math.sqrt(left.reduce((sum, value, index) => sum + (value - right[index]!) ** 2, 0));

describe('gradients', () => {
  it('are sent without their zeros, and give the same weights to the bit', async () => {
    const { weights, expected, sent } = await train(false, 2);
    expect(weights).toEqual(expected);
    expect(sent.length).toBeGreaterThanOrEqual(9);
    for (const { bytes, encoding } of sent) {
      expect(encoding).toBe('sparse');
      expect(bytes.length).toBeLessThan(0.6 * weights.byteLength);
      const values = new Float32Array(weights.length);
      decodeVector(bytes, 'sparse', values);
      expect(values.subarray(0, 32 * 64).every((value) => Object.is(value, 0))).toBe(true);
    }
  });

  it.each([
    [false, 1e6],
    [false, 1_024],
    [true, 1e6],
    [true, 1_024],
  ])(
    'may be read into the memory where they are decoded: rounded %s, in chunks of %i bytes',
    async (rounded, chunkBytes) => {
      const { weights, expected, sent } = await train(rounded, 2, { chunkBytes });
      expect(weights).toEqual(expected);
      expect(sent[0]!.encoding).toBe(rounded ? 'fp16' : 'sparse');
    },
  );

  it('rounded at each node of the tree give nearly the same weights, and those of the oracle to the bit', async () => {
    const { weights, initial, expected, sent } = await train(true, 2);
    const { expected: exact } = await train(false, 1);
    expect(weights).toEqual(expected);
    expect(weights).not.toEqual(exact);
    expect(distance(weights, exact) / distance(initial, exact)).toBeLessThan(1e-3);
    for (const { encoding } of sent) expect(encoding).toBe('fp16');
  });

  it.each([
    ['where sparse is false', new GradientEncoder(false), Float32Array.from({ length: 640 }, (_, at) => at % 2)],
    [
      'that cannot be rounded, so that the coordinator sees it',
      new GradientEncoder(true, 1),
      Float32Array.of(Number.NaN),
    ],
  ])('stay as they are %s', (_, encoder, gradient) => {
    expect(encoder.encode(gradient)).toEqual({ bytes: bytesOf(gradient) });
  });
});

describe('samples', () => {
  const allBytes = 40 * (64 + 2);

  it.each([1, 2])('are sent once to each of %i workers with a sample cache', async (workers) => {
    const { weights, expected, tasksSent } = await train(false, workers, { sampleCacheBytes: allBytes });
    expect(weights).toEqual(expected);
    for (const tasks of tasksSent) {
      expect(tasks.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(40);
      expect(tasks.every(({ numbers }) => numbers !== undefined)).toBe(true);
    }
    // Three epochs of 40 samples, and a microbatch of 4 to compare the result of each further newcomer.
    const computed = tasksSent.flat().reduce((sum, { numbers }) => sum + numbers!.length / 4, 0);
    expect(computed).toBe(120 + 4 * (workers - 1));
  });

  it('are in every task to a worker whose sample cache is too small', async () => {
    const { weights, expected, tasksSent } = await train(false, 1, { sampleCacheBytes: allBytes - 1 });
    expect(weights).toEqual(expected);
    expect(tasksSent[0]!.every(({ numbers }) => numbers === undefined)).toBe(true);
    expect(tasksSent[0]!.reduce((sum, { count }) => sum + count, 0)).toBe(120);
  });
});
