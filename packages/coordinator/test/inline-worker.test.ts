/** A worker in the coordinator's process: same rules, and the oracle's weights, in one thread or several. */

import { createLocalCompute, type InlineCompute, InlineCopy, InlineGradient } from '@lockstep/compute';
import { movableSamples, tokenField } from '@lockstep/data';
import { type Model, type OptimizerConfig, optimizers, parseModel, parseOptimizer } from '@lockstep/nn';
import { type DataFormat, type InnerSteps, planRun } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { systemClock } from '@lockstep/worker';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { hash, hostBackend } from '../../compute/test/support.ts';
import { createRun } from '../../prepare/src/create-run.ts';
import { prepare } from '../../prepare/src/prepare.ts';
import { sampleFields, targetFields, textFormat, textModel } from '../../sim/src/problem.ts';
import { tinyDataset } from '../../sim/test/support.ts';
import { nodePlatform } from '../../train/src/node-platform.ts';
import { kindsOfData } from '../../train/test/kinds-of-data.ts';
import { InlineWorker } from '../src/inline-worker.ts';
import { createRunOf } from './run-fixture.ts';

const usualModel = parseModel({
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dropout', rate: 0.2 }, { type: 'dense', units: 3 }],
});

const reference = await hostBackend();
const threaded = (await openBackend('cpu', nodeThreads(3))).backend;
afterAll(() => threaded.close?.());

interface Options extends Partial<DataFormat> {
  readonly backend?: HostBackend;
  readonly model?: Model;
  readonly optimizer?: OptimizerConfig;
  readonly token?: string;
  readonly innerSteps?: InnerSteps;
  readonly roundsToHalves?: boolean;
  /** Backend that computes shards; by default the parameter server's. */
  readonly copyOn?: HostBackend;
  readonly changes?: ((compute: InlineCompute) => Partial<InlineCompute>) | undefined;
}

/** A run of seven steps, in which the last batch of an epoch is short and ends with a short microbatch. */
async function createInlineRun(options: Options) {
  const { backend = reference, model = usualModel, copyOn, token } = options;
  const { innerSteps, roundsToHalves, optimizer } = options;
  const dataset = movableSamples(tinyDataset(50, options));
  const given = dataset.samples.values;
  const plan = planRun({ samples: 50, batch: 16, microbatchSize: 3, epochs: 2, steps: 7, innerSteps, roundsToHalves });
  const seed = 5;
  const parts = { backend, model, dataset, plan, seed, ...(optimizer && { optimizer }), setup: { token } };
  const { computing, refereeHash, clock, ...made } = await createRunOf(parts);
  const common = { ...made, plan, seed };
  const compute = copyOn
    ? new InlineCopy({ ...common, compute: createLocalCompute(copyOn, clock), setup: computing, hash })
    : new InlineGradient({ ...common, model, dataset, clock, numerics: { hash: refereeHash, samplesPerMs: 1 } });
  const { numericMode, threads } = compute;
  const changed: InlineCompute = {
    ...{ backend: compute.backend, numericMode, threads },
    checkNumerics: () => compute.checkNumerics(),
    compute: (...shard) => compute.compute(...shard),
    ...options.changes?.(compute),
  };
  const after = (_delayMs: number, callback: () => void): (() => void) => {
    setImmediate(callback);
    return () => {};
  };
  const worker = new InlineWorker({
    compute: options.changes ? changed : compute,
    name: 'this process',
    clock: { nowMs: () => clock.nowMs(), after },
  });
  return { ...made, worker, dataset, given };
}

/** Plays a run to its end. */
async function play(options: Options) {
  const made = await createInlineRun(options);
  made.run.connectInline(made.worker);
  return { ...made, outcome: await made.run.outcome };
}

const innerSteps = { batch: 2, learningRate: 0.05, momentum: 0.9 };
const roundsToHalves = true;
const own: Options[] = [{ backend: reference }, { backend: threaded }];
/** Shards are computed in place, in threads, or on another backend with copied weights and sums. */
const everywhere: Options[] = [...own, { copyOn: threaded }];

describe('an inline worker', () => {
  it.each<[options: Options, places: Options[]]>([
    ...Object.keys(optimizers).map((type): [Options, Options[]] => [
      { optimizer: parseOptimizer({ type, learningRate: 0.02 }) },
      own,
    ]),
    [{}, everywhere],
    [{ sampleField: sampleFields.f32 }, everywhere],
    [{ ...textFormat, sampleField: tokenField(4, 200), model: textModel }, own],
    [{ targetField: targetFields.f32 }, everywhere],
    [{ sampleField: sampleFields.f32, targetField: targetFields.f32 }, everywhere],
    [{ innerSteps }, everywhere],
    [{ roundsToHalves }, everywhere],
    [{ roundsToHalves, targetField: targetFields.f32 }, everywhere],
    [{ roundsToHalves, innerSteps }, everywhere],
  ])('trains the weights of the oracle: %j', async (options, places) => {
    for (const place of places) {
      const { outcome, parameterServer, expected, run } = await play({ ...place, ...options });
      expect(outcome).toEqual({ type: 'finished' });
      expect(parameterServer.weights()).toEqual(expected());
      const { backend = place.copyOn ?? reference } = place;
      expect([...run.state.records.values()]).toMatchObject([{ backend: backend.name, shards: 7 }]);
    }
  });

  it('rounds where it is asked to', async () => {
    const [plain, rounded] = [await createInlineRun({}), await createInlineRun({ roundsToHalves })];
    expect(rounded.expected()).not.toEqual(plain.expected());
  });

  it('keeps the only copy of samples that are scaled bytes, also where memory grows', async () => {
    for (const backend of [reference, threaded]) {
      const { dataset, given } = await createInlineRun({ backend });
      expect(given).toHaveLength(0);
      backend.free(backend.allocate(5_000_000));
      expect(dataset.samples).toEqual(tinyDataset(50).samples);
    }
  });

  it.each<[what: string, options: Options]>([
    ['floats', { sampleField: sampleFields.f32 }],
    ['tokens that are bytes', { ...textFormat, sampleField: tokenField(4, 200), model: textModel }],
  ])('leaves samples where they are if they are %s', async (_what, options) => {
    const { dataset, given } = await createInlineRun(options);
    expect(dataset.samples.values).toBe(given);
  });

  it('is in the records of the run as a worker like others, token or not', async () => {
    const { outcome, run } = await play({ backend: threaded, token: 'the token' });
    expect(outcome).toEqual({ type: 'finished' });
    const [record] = [...run.state.records.values()];
    expect(record).toMatchObject({ kind: 'local', backend: 'cpu', name: 'this process', threads: 3, shards: 7 });
    expect(record!.samples).toBe(50 + 48);
    expect(run.state.contributed).toHaveLength(1);
  });

  it.each([
    ['one thread', reference],
    ['three threads', threaded],
  ])('ends a run that diverges with the weights from before that step, in %s', async (_, backend) => {
    const optimizer = parseOptimizer({ type: 'sgd', learningRate: 1e38 });
    const model = parseModel({ name: 'linear', input: [4], layers: [{ type: 'dense', units: 3 }] });
    const { outcome, run, parameterServer } = await play({ backend, optimizer, model });
    expect(outcome).toMatchObject({ type: 'failed', message: expect.stringContaining('training has diverged') });
    expect(run.state.current.step).toBeGreaterThan(0);
    expect(parameterServer.weights().every(Number.isFinite)).toBe(true);
  });

  const death = 'a compute thread has died: it was killed';
  it.each<[what: string, changes: Options['changes'], message: string, atStep: number]>([
    [
      'its sentence where it cannot compute any more',
      (compute) => ({
        compute(step, ...shard) {
          if (step === 3) throw new Error(death);
          return compute.compute(step, ...shard);
        },
      }),
      death,
      3,
    ],
    [
      'a refusal where it gives other bits than its numeric mode promises',
      () => ({ checkNumerics: async () => ({ hash: '0'.repeat(64), samplesPerMs: 1 }) }),
      'expected the bits of',
      0,
    ],
  ])('ends the run with %s', async (_, changes, message, atStep) => {
    const { outcome, run } = await play({ changes });
    expect(outcome).toMatchObject({ type: 'failed', message: expect.stringContaining(message) });
    expect(run.state.current.step).toBe(atStep);
  });
});

it('alone in a run has all the time it needs, since it may have been frozen with the coordinator', async () => {
  const prepared = await prepare({ data: kindsOfData['a table with classes'], steps: 3 }, nodePlatform);
  const created = await createRun({ prepared, platform: nodePlatform, backend: reference, startWorkers: 1 });
  const compute = createLocalCompute(await hostBackend(), systemClock);
  const day = 24 * 60 * 60 * 1000;
  let days = 0;
  let onLook = (): void => {};
  const clock = vi.spyOn(systemClock, 'nowMs').mockImplementation(() => {
    onLook();
    return performance.now() + days * day;
  });
  onTestFinished(() => clock.mockRestore());
  /** A day passes, and the run looks at the clock, as it does at every tick. */
  const standStill = async (): Promise<void> => {
    days += 1;
    let looks = 0;
    await new Promise<void>((resolve) => {
      onLook = () => {
        looks += 1;
        if (looks === 5) resolve();
      };
    });
  };
  const gradient = compute.gradient.bind(compute);
  vi.spyOn(compute, 'gradient').mockImplementation(async (...shard) => {
    await standStill();
    return gradient(...shard);
  });
  await created.startInlineWorker(compute);
  expect(await created.run.outcome).toEqual({ type: 'finished' });
  expect(days).toBeGreaterThanOrEqual(3);
});
