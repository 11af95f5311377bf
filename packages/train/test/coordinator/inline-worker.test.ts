/** A worker in the coordinator's process: same rules, and the oracle's weights, in one thread or several. */

import type { InlineCompute } from '@lockstep/compute';
import {
  checkedSetup,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  InlineCopy,
  InlineGradient,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { movableSamples } from '@lockstep/data';
import { initialize, type Model, type OptimizerConfig, optimizers, parseModel, parseOptimizer } from '@lockstep/nn';
import type { InnerSteps } from '@lockstep/rules';
import { type DataFormat, defaultLimits, formatOf, planRun } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { afterAll, describe, expect, it } from 'vitest';
import { hash, hostBackend, newHash } from '../../../compute/test/support.ts';
import { oracleWeights } from '../../../sim/src/oracle.ts';
import { VirtualClock } from '../../../sim/src/simulated-process.ts';
import { tinyDataset } from '../../../sim/test/support.ts';
import { InlineWorker } from '../../src/coordinator/inline-worker.ts';
import { Run } from '../../src/coordinator/run.ts';

const seed = 5;
/** Time stands still: only events drive these runs. */
const clock = new VirtualClock();
const nowMs = (): number => clock.nowMs();

const usualModel = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dropout', rate: 0.2 }, { type: 'dense', units: 3 }],
});

const reference = await hostBackend();
const threaded = (await openBackend('cpu', nodeThreads(3))).backend;
afterAll(() => threaded.close?.());

interface Options extends Partial<Pick<DataFormat, 'sampleType' | 'targetType'>> {
  readonly backend?: HostBackend;
  readonly model?: Model;
  readonly optimizer?: OptimizerConfig;
  readonly token?: string;
  readonly innerSteps?: InnerSteps;
  readonly roundsToHalves?: boolean;
  /** Backend that computes shards; by default the parameter server's. */
  readonly copyOn?: HostBackend;
  readonly wrap?: (compute: InlineCompute) => InlineCompute;
}

/** A run of seven steps, in which the last batch of an epoch is short and ends with a short microbatch. */
async function createInlineRun({
  backend = reference,
  copyOn,
  token,
  sampleType = 'u8',
  targetType = 'classes',
  wrap = (compute) => compute,
  ...options
}: Options) {
  const { model = usualModel, optimizer = parseOptimizer({ type: 'momentum', learningRate: 0.05 }) } = options;
  const types = { sampleType, targetType };
  const dataset = movableSamples(tinyDataset(50, types));
  const given = dataset.samples;
  const { innerSteps, roundsToHalves } = options;
  const plan = planRun({ samples: 50, batch: 16, microbatchSize: 3, epochs: 2, steps: 7, innerSteps, roundsToHalves });
  const setup = { model, microbatchSize: plan.microbatchSize, targetType, innerSteps };
  const checked = checkedSetup(setup);
  const samples = createShardSource(dataset, plan, seed);
  const weights = initialize(model, seed);
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const numericsCheck = createNumericsCheck(model, checked.microbatchSize, types);
  const own = createLocalCompute(backend, clock);
  await own.open(checked);
  own.setWeights(numericsCheck.weights);
  const { gradient } = await own.gradient(numericsCheck.samples, numericsCheck.targets);
  const referenceGradient = referenceOf(new Float32Array(gradient.slice().buffer));
  const refereeHash = hash(gradient);
  const run = new Run({
    setup: {
      plan,
      model,
      format: formatOf(dataset),
      seed,
      limits: defaultLimits,
      token,
      startWorkers: 1,
      startWithinMs: 1000,
      refereeHash,
      refereeMode: backend.numericMode,
    },
    samples,
    referee: createReferee({ model, targetType, plan, samples, seed, parameterServer }),
    parameterServer,
    numericsCheck,
    referenceGradient,
    clock,
    newHash,
    newResumeKey: () => 'key',
  });
  const common = { parameterServer, plan, samples, seed };
  const numerics = { hash: refereeHash, samplesPerMs: 1 };
  let compute: InlineCompute;
  if (copyOn) {
    compute = new InlineCopy({
      ...common,
      compute: createLocalCompute(copyOn, clock),
      setup,
      numericsCheck,
      referenceGradient,
      hash,
    });
  } else compute = new InlineGradient({ ...common, model, dataset, clock, numerics });
  const worker = new InlineWorker({
    compute: wrap(compute),
    name: 'this process',
    clock: {
      nowMs,
      after(_delayMs, callback) {
        setImmediate(callback);
        return () => {};
      },
    },
  });
  const expected = (): Float32Array =>
    oracleWeights({ backend: reference, model, targetType, plan, samples, weights, optimizer, seed });
  return { run, worker, parameterServer, expected, weights, dataset, given };
}

describe('an inline worker', () => {
  it.each(Object.keys(optimizers))(
    'trains the weights of the oracle with %s, in one thread and in three',
    async (type) => {
      const optimizer = parseOptimizer({ type, learningRate: 0.02 });
      for (const backend of [reference, threaded]) {
        const { run, worker, parameterServer, expected } = await createInlineRun({ backend, optimizer });
        run.connectInline(worker);
        expect(await run.outcome).toEqual({ type: 'finished' });
        expect(parameterServer.weights()).toEqual(expected());
      }
    },
  );

  it.each([
    ['f32', 'classes'],
    ['u8', 'values'],
    ['f32', 'values'],
  ] as const)('trains the weights of the oracle on %s samples with %s', async (sampleType, targetType) => {
    for (const place of [{ backend: reference }, { backend: threaded }, { copyOn: threaded }]) {
      const { run, worker, parameterServer, expected } = await createInlineRun({ ...place, sampleType, targetType });
      run.connectInline(worker);
      expect(await run.outcome).toEqual({ type: 'finished' });
      expect(parameterServer.weights()).toEqual(expected());
    }
  });

  it('keeps the only copy of samples that are bytes, also where memory grows', async () => {
    for (const backend of [reference, threaded]) {
      const { dataset, given } = await createInlineRun({ backend });
      expect(given).toHaveLength(0);
      backend.free(backend.allocate(5_000_000));
      expect(dataset.samples).toEqual(tinyDataset(50, { sampleType: 'u8', targetType: 'classes' }).samples);
    }
    const floats = await createInlineRun({ sampleType: 'f32' });
    expect(floats.dataset.samples).toBe(floats.given);
  });

  it('trains the weights of the oracle by replicas, whose inner steps are taken in place, in threads, or elsewhere', async () => {
    const innerSteps = { batch: 2, learningRate: 0.05, momentum: 0.9 };
    for (const place of [{ backend: reference }, { backend: threaded }, { copyOn: threaded }]) {
      const { run, worker, parameterServer, expected } = await createInlineRun({ ...place, innerSteps });
      run.connectInline(worker);
      expect(await run.outcome).toEqual({ type: 'finished' });
      expect(parameterServer.weights()).toEqual(expected());
    }
  });

  it('trains the weights of the oracle where every node is rounded to a half', async () => {
    const innerSteps = { batch: 2, learningRate: 0.05, momentum: 0.9 };
    const plain = (await createInlineRun({})).expected();
    for (const place of [{ backend: reference }, { backend: threaded }, { copyOn: threaded }]) {
      for (const options of [{}, { targetType: 'values' as const }, { innerSteps }]) {
        const made = await createInlineRun({ ...place, ...options, roundsToHalves: true });
        made.run.connectInline(made.worker);
        expect(await made.run.outcome).toEqual({ type: 'finished' });
        expect(made.parameterServer.weights()).toEqual(made.expected());
        expect(made.parameterServer.weights()).not.toEqual(plain);
      }
    }
  });

  it('is in the records of the run as a worker like others, token or not', async () => {
    const { run, worker } = await createInlineRun({ backend: threaded, token: 'the token' });
    run.connectInline(worker);
    expect(await run.outcome).toEqual({ type: 'finished' });
    const [record] = [...run.state.records.values()];
    expect(record).toMatchObject({ kind: 'local', backend: 'cpu', name: 'this process', threads: 3, shards: 7 });
    expect(record!.samples).toBe(50 + 48);
    expect(run.state.contributed).toHaveLength(1);
  });

  it('computes on another backend with weights and sums that are copied', async () => {
    const { run, worker, parameterServer, expected } = await createInlineRun({ copyOn: threaded });
    run.connectInline(worker);
    expect(await run.outcome).toEqual({ type: 'finished' });
    expect(parameterServer.weights()).toEqual(expected());
    expect([...run.state.records.values()]).toMatchObject([{ backend: 'cpu', shards: 7 }]);
  });

  it.each([
    ['one thread', reference],
    ['three threads', threaded],
  ])('ends a run that diverges with the weights from before that step, in %s', async (_, backend) => {
    const optimizer = parseOptimizer({ type: 'sgd', learningRate: 1e38 });
    const model = parseModel({ name: 'linear', input: [4], layers: [{ type: 'dense', units: 3 }] });
    const { run, worker, parameterServer } = await createInlineRun({ backend, optimizer, model });
    run.connectInline(worker);
    expect(await run.outcome).toMatchObject({
      type: 'failed',
      message: expect.stringMatching(/training has diverged/),
    });
    expect(run.state.current.step).toBeGreaterThan(0);
    expect(parameterServer.weights().every(Number.isFinite)).toBe(true);
  });

  it('ends the run with its sentence where it cannot compute any more', async () => {
    const { run, worker } = await createInlineRun({
      wrap: (compute) => ({
        backend: compute.backend,
        numericMode: compute.numericMode,
        threads: compute.threads,
        checkNumerics: () => compute.checkNumerics(),
        compute(step, ...shard) {
          if (step === 3) throw new Error('a compute thread has died: it was killed');
          return compute.compute(step, ...shard);
        },
      }),
    });
    run.connectInline(worker);
    expect(await run.outcome).toEqual({ type: 'failed', message: 'a compute thread has died: it was killed' });
    expect(run.state.current.step).toBe(3);
  });

  it('is refused where it gives other bits than its numeric mode promises', async () => {
    const { run, worker } = await createInlineRun({
      wrap: (compute) => ({
        backend: compute.backend,
        numericMode: compute.numericMode,
        threads: compute.threads,
        checkNumerics: async () => ({ hash: '0'.repeat(64), samplesPerMs: 1 }),
        compute: (...shard) => compute.compute(...shard),
      }),
    });
    run.connectInline(worker);
    expect(await run.outcome).toMatchObject({
      type: 'failed',
      message: expect.stringMatching(/expected the bits of/),
    });
  });
});
