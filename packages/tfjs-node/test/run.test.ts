import {
  type Compute,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { classField, classTargets, samplesOf } from '@lockstep/data';
import { initialize, parseOptimizer } from '@lockstep/nn';
import { bytesOf, type Clock, floatsFrom, memoryPair } from '@lockstep/protocol';
import { defaultLimits, exactnessOf, formatOf, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { hash, newHash } from '../../compute/test/support.ts';
import { Run } from '../../coordinator/src/run.ts';
import { oracleWeights } from '../../sim/src/oracle.ts';
import { Session } from '../../worker/src/session.ts';
import { createTensorFlowCompute } from '../src/compute.ts';
import { absence, samplesFor, small, titled } from './samples.ts';

/** A real clock: if TensorFlow never answers, a deadline ends the wait after seconds. */
const clock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

it.skipIf(absence !== undefined)(
  titled('a run that TensorFlow begins and the engine finishes is sample-exact, with its weights but for rounding'),
  async () => {
    const { backend } = await openBackend('cpu');
    const engine = (): Compute => createLocalCompute(backend, clock);
    const plan = planRun({ samples: 40, batch: 16, microbatchSize: 4, epochs: 100 });
    const { pixels, labels } = samplesFor(small, plan.samples, 3);
    const targets = classTargets(Uint16Array.from(labels), ['a', 'b', 'c']);
    const dataset = { samples: samplesOf(pixels, [2, 2, 1]), count: plan.samples, targets };
    const samples = createShardSource(dataset, plan, 1);
    const weights = initialize(small, 1);
    const optimizer = parseOptimizer({ type: 'sgd', learningRate: 0.05 });
    const numericsCheck = createNumericsCheck(small, plan.microbatchSize);
    const first = engine();
    await first.open({ model: small, microbatchSize: plan.microbatchSize });
    first.setWeights(numericsCheck.weights);
    const { gradient } = await first.gradient(numericsCheck.samples, numericsCheck.targets);
    const referenceGradient = referenceOf(floatsFrom(gradient));
    const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });

    let keys = 0;
    const run = new Run({
      setup: {
        plan,
        model: small,
        format: formatOf(dataset),
        limits: defaultLimits,
        token: undefined,
        startWorkers: 1,
        startWithinMs: 60_000,
      },
      samples,
      parameterServer,
      numericsCheck,
      referenceGradient,
      referee: createReferee({
        model: small,
        targetField: classField,
        plan,
        samples,
        seed: 0,
        parameterServer,
      }),
      clock,
      newHash,
      newResumeKey: () => `key ${++keys}`,
      onStep({ step }) {
        if (step === 2) join('engine', engine());
      },
      onEvent(event) {
        if (event.type === 'joined' && event.workerId === 'w2') tensorFlow.leave('it has computed its shards');
      },
    });
    const join = (name: string, compute: Compute): Session => {
      const pair = memoryPair({ schedule: (deliver) => void setImmediate(deliver) });
      run.connect(pair.coordinator);
      const identity = { kind: 'local', name } as const;
      return new Session({ transport: pair.worker, compute, identity, clock, hash });
    };
    const tensorFlow = join('TensorFlow', await createTensorFlowCompute(clock));

    expect(await run.outcome).toEqual({ type: 'finished' });
    const shards = [...run.state.records.values()].map((record) => record.shards);
    expect(shards).toHaveLength(2);
    for (const count of shards) expect(count).toBeGreaterThan(0);
    expect(run.state.faults.rejected).toBe(0);
    expect(exactnessOf(run.state)).toBe('sample-exact');
    const expected = oracleWeights({ backend, model: small, plan, samples, weights, optimizer });
    const got = parameterServer.weights();
    expect(hash(bytesOf(got))).not.toBe(hash(bytesOf(expected)));
    for (const [index, value] of got.entries()) expect(value).toBeCloseTo(expected[index]!, 4);
  },
);
