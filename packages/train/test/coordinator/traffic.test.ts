/** Traffic of a run: gradients without zeros, or rounded if the run asks for it, and each sample once. */

import {
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { bytesPerSample, type Dataset } from '@lockstep/data';
import { initialize, parseModel, parseOptimizer } from '@lockstep/nn';
import { bytesOf, decodeVector, type MessageOf, memoryPair } from '@lockstep/protocol';
import { defaultLimits, exactnessOf, formatOf, planRun, type RunSetup } from '@lockstep/rules';
import { Session } from '@lockstep/worker/internal';
import { describe, expect, it } from 'vitest';
import { hash, hostBackend, newHash } from '../../../compute/test/support.ts';
import { oracleWeights } from '../../../sim/src/oracle.ts';
import { VirtualClock } from '../../../sim/src/simulated-process.ts';
import { GradientEncoder } from '../../../worker/src/answers.ts';
import { Run } from '../../src/coordinator/run.ts';

const model = parseModel({
  name: 'margins',
  input: [64],
  layers: [{ type: 'dense', units: 64 }, { type: 'relu' }, { type: 'dense', units: 3 }],
});

/** Images of 8 x 8 with an empty upper half, so that half of the first layer's gradient is 0. */
const dataset: Dataset = {
  samples: Uint8Array.from({ length: 40 * 64 }, (_, index) => (index % 64 < 32 ? 0 : (index * 97) & 255)),
  sampleShape: [8, 8, 1],
  count: 40,
  targets: {
    type: 'classes',
    labels: Uint16Array.from({ length: 40 }, (_, index) => index % 3),
    names: ['a', 'b', 'c'],
  },
};

async function train(roundsToHalves: boolean, workers: number, sampleCacheBytes = 0) {
  const backend = await hostBackend();
  const plan = planRun({ samples: 40, batch: 16, microbatchSize: 4, epochs: 3, roundsToHalves });
  const samples = createShardSource(dataset, plan, 1);
  const weights = initialize(model, 1);
  const optimizer = parseOptimizer({ type: 'momentum', learningRate: 0.05 });
  const numericsCheck = createNumericsCheck(model, 4);
  const clock = new VirtualClock();
  const compute = createLocalCompute(backend, clock);
  await compute.open({ model, microbatchSize: 4 });
  compute.setWeights(numericsCheck.weights);
  const { gradient } = await compute.gradient(numericsCheck.samples, numericsCheck.targets);
  const setup: RunSetup = {
    plan,
    model,
    format: formatOf(dataset),
    sampleBytes: bytesPerSample(dataset),
    limits: defaultLimits,
    startWorkers: workers,
    startWithinMs: 5_000,
    // A run that rounds accepts only the coordinator's own numeric mode.
    ...(roundsToHalves && { refereeHash: hash(gradient) }),
  };
  let keys = 0;
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const run = new Run({
    setup,
    samples,
    parameterServer,
    numericsCheck,
    referee: createReferee({
      model,
      targetType: 'classes',
      plan,
      samples,
      seed: 0,
      parameterServer,
    }),
    referenceGradient: referenceOf(new Float32Array(gradient.slice().buffer)),
    clock,
    newHash,
    newResumeKey: () => `key-${++keys}`,
  });
  const sent: MessageOf<'gradient'>[] = [];
  const tasksSent: MessageOf<'task'>[][] = [];
  const sessions = Array.from({ length: workers }, (_, index) => {
    const pair = memoryPair({ encode: true });
    const tasks: MessageOf<'task'>[] = [];
    tasksSent.push(tasks);
    run.connect(pair.coordinator);
    const transport = {
      remote: pair.worker.remote,
      bufferedBytes: 0,
      sendVector: pair.worker.sendVector.bind(pair.worker),
      listen: ({ onMessage, onClose }: Parameters<typeof pair.worker.listen>[0]) =>
        pair.worker.listen({
          onMessage(message) {
            if (message.type === 'task') tasks.push(message);
            onMessage(message);
          },
          onClose,
        }),
      close: pair.worker.close.bind(pair.worker),
      send(message: Parameters<typeof pair.worker.send>[0]) {
        if (message.type === 'gradient') sent.push(message);
        pair.worker.send(message);
      },
    };
    const identity = { kind: 'node', name: `worker-${index}` } as const;
    const compute = createLocalCompute(backend, clock);
    return new Session({ transport, compute, identity, clock, hash, sampleCacheBytes });
  });
  expect(await run.outcome).toEqual({ type: 'finished' });
  await Promise.all(sessions.map((session) => session.ended));
  const expected = oracleWeights({ backend, model, plan, samples, weights, optimizer });
  return {
    weights: parameterServer.weights(),
    initial: weights,
    expected,
    sent,
    tasksSent,
    state: run.state,
  };
}

const distance = (left: Float32Array, right: Float32Array): number =>
  Math.sqrt(left.reduce((sum, value, index) => sum + (value - right[index]!) ** 2, 0));

describe('gradients', () => {
  it.each([1, 2])(
    'of %i workers are sent without their zeros, and give the same weights to the bit',
    async (workers) => {
      const { weights, expected, sent, state } = await train(false, workers);
      expect(weights).toEqual(expected);
      expect(exactnessOf(state)).toBe('bit-exact');
      expect(sent.length).toBeGreaterThanOrEqual(9);
      for (const { bytes, encoding } of sent) {
        expect(encoding).toBe('sparse');
        expect(bytes.length).toBeLessThan(0.6 * weights.byteLength);
        const values = new Float32Array(weights.length);
        decodeVector(bytes, 'sparse', values);
        expect(values.subarray(0, 32 * 64).every((value) => Object.is(value, 0))).toBe(true);
      }
    },
  );

  it('rounded at each node of the tree give nearly the same weights, and those of the oracle to the bit', async () => {
    const { weights, initial, expected, sent, state } = await train(true, 2);
    const { expected: exact } = await train(false, 1);
    expect(weights).toEqual(expected);
    expect(weights).not.toEqual(exact);
    expect(distance(weights, exact) / distance(initial, exact)).toBeLessThan(1e-3);
    expect(exactnessOf(state)).toBe('bit-exact');
    for (const { encoding } of sent) expect(encoding).toBe('fp16');
  });
});

describe('GradientEncoder', () => {
  const mostlyZero = Float32Array.from({ length: 640 }, (_, index) => (index < 64 ? index : 0));

  it('leaves gradients as they are where sparse is false', () => {
    expect(new GradientEncoder(false).encode(mostlyZero)).toEqual({ bytes: bytesOf(mostlyZero) });
  });

  it('leaves values that cannot be rounded as they are, so that the coordinator sees those that are not finite', () => {
    const gradient = new Float32Array(640).fill(Number.NaN);
    expect(new GradientEncoder(true, 1).encode(gradient)).toEqual({ bytes: bytesOf(gradient) });
  });
});

describe('samples', () => {
  const allBytes = 40 * (64 + 2);

  it.each([1, 2])(
    'are sent once to each of %i workers with a sample cache, and give the same weights',
    async (workers) => {
      const { weights, expected, tasksSent } = await train(false, workers, allBytes);
      expect(weights).toEqual(expected);
      for (const tasks of tasksSent) {
        expect(tasks.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(40);
        expect(tasks.every(({ numbers }) => numbers !== undefined)).toBe(true);
      }
      // Three epochs of 40 samples, and a microbatch of 4 to compare the result of each further newcomer.
      const computed = tasksSent.flat().reduce((sum, { numbers }) => sum + numbers!.length / 4, 0);
      expect(computed).toBe(120 + 4 * (workers - 1));
    },
  );

  it('are in every task to a worker whose sample cache is too small', async () => {
    const { weights, expected, tasksSent } = await train(false, 1, allBytes - 1);
    expect(weights).toEqual(expected);
    expect(tasksSent[0]!.every(({ numbers }) => numbers === undefined)).toBe(true);
    expect(tasksSent[0]!.reduce((sum, { count }) => sum + count, 0)).toBe(120);
  });
});
