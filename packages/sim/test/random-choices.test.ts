import {
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { classField } from '@lockstep/data';
import { initialize, parseModel, parseOptimizer } from '@lockstep/nn';
import { expect, it } from 'vitest';
import { drain, hash, hostBackend } from '../../compute/test/support.ts';
import { oracleWeights } from '../src/oracle.ts';
import { simulate } from '../src/simulate.ts';
import { createProblem, tinyDataset } from './support.ts';

const model = parseModel({
  name: 'dropping',
  input: [4],
  layers: [
    { type: 'dropout', rate: 0.2 },
    { type: 'dense', units: 8 },
    { type: 'relu' },
    { type: 'dropout', rate: 0.5 },
    { type: 'dense', units: 3 },
  ],
});

const optimizer = parseOptimizer({
  type: 'momentum',
  learningRate: 0.05,
  clipNorm: 0.5,
  schedule: { type: 'cosine', steps: 10, warmup: 3 },
});

async function setUp(seed: number) {
  const backend = await hostBackend();
  const { setup, run } = await createProblem(backend, { samples: 50, batch: 16, microbatchSize: 3, epochs: 3 });
  const { plan } = setup;
  const samples = createShardSource(tinyDataset(50), plan, seed);
  const weights = initialize(model, seed);
  const numericsCheck = createNumericsCheck(model, plan.microbatchSize);
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model, microbatchSize: plan.microbatchSize });
  compute.setWeights(numericsCheck.weights);
  const { gradient: sent } = await compute.gradient(numericsCheck.samples, numericsCheck.targets);
  const gradient = sent.slice();
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const expected = (dropoutSeed = seed) =>
    oracleWeights({ backend, model, plan, samples, weights, optimizer, seed: dropoutSeed });
  return {
    backend,
    parameterServer,
    expected,
    options: {
      ...run,
      // A worker that is told no seed takes 0.
      setup: { ...setup, model, ...(seed !== 0 && { seed }), refereeHash: hash(gradient) },
      samples,
      parameterServer,
      referee: createReferee({ model, targetField: classField, plan, samples, seed, parameterServer }),
      numericsCheck,
      referenceGradient: referenceOf(new Float32Array(gradient.buffer)),
    },
  };
}

it('dropout does not depend on which worker computes, and a run with dropout has the weights of the oracle', async () => {
  for (const seed of [0, 1, 2, 3]) {
    const { backend, parameterServer, expected, options } = await setUp(seed);
    const scenario = { seed, workers: 3, faultEveryMs: 300, corruptResults: 0 };
    const { outcome, quarantined } = await simulate({ run: options, backend, drain, limitMs: 3_600_000, ...scenario });
    expect({ outcome, quarantined }).toEqual({ outcome: { type: 'finished' }, quarantined: [] });
    expect(parameterServer.weights()).toEqual(expected());
    expect(parameterServer.weights()).not.toEqual(expected(seed + 1));
  }
});
