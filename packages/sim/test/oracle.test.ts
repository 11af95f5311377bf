import { createShardSource } from '@lockstep/compute';
import { createMicrobatchGradient, createOptimizer, initialize, parameterCount } from '@lockstep/nn';
import { planRun } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { drain, hostBackend, weightsHash } from '../../compute/test/support.ts';
import { oracleWeights } from '../src/oracle.ts';
import { simulate } from '../src/simulate.ts';
import { createProblem, model, optimizer, tinyDataset } from './support.ts';

describe('the oracle', () => {
  it('with one microbatch a batch gives the weights of plain SGD over whole batches', async () => {
    const backend = await hostBackend();
    const plan = planRun({ samples: 20, batch: 8, microbatchSize: 8, epochs: 2 });
    const samples = createShardSource(tinyDataset(20), plan, 4);
    const weights = initialize(model, 4);
    const expected = oracleWeights({ backend, model, plan, samples, weights, optimizer });

    const parameters = backend.allocate(parameterCount(model));
    const gradient = backend.allocate(parameterCount(model));
    backend.upload(parameters, weights);
    const sgd = createOptimizer(backend, optimizer, parameters);
    for (let step = 0; step < plan.steps; step++) {
      const batch = samples.shard(step, 0, 1);
      const whole = createMicrobatchGradient(backend, model, batch.count, parameters);
      whole.run(batch.samples, batch.targets);
      backend.upload(gradient, backend.view(whole.output).slice(0, parameterCount(model)));
      sgd.step(batch.count, gradient);
    }
    expect(weightsHash(backend.view(parameters))).toBe(weightsHash(expected));
  });

  it('gives nearly the same weights with any microbatch size, but other bits', async () => {
    const backend = await hostBackend();
    const [fine, coarse] = await Promise.all([
      createProblem(backend, { microbatchSize: 1 }),
      createProblem(backend, { microbatchSize: 16 }),
    ]);
    const [a, b] = [fine.expected(), coarse.expected()];
    expect(weightsHash(a)).not.toBe(weightsHash(b));
    for (let index = 0; index < a.length; index++) expect(a[index]).toBeCloseTo(b[index]!, 5);
  });

  it('gives other weights with another seed', async () => {
    const backend = await hostBackend();
    const hashes = await Promise.all(
      [1, 2, 3].map(async (seed) => weightsHash((await createProblem(backend, { seed })).expected())),
    );
    expect(new Set(hashes).size).toBe(3);
  });
});

describe('the backends cpu and reference', () => {
  it('give a whole run the same bits if they have the same numeric mode', async () => {
    const backends = await Promise.all([hostBackend('reference'), hostBackend('cpu')]);
    const scenario = { seed: 11, workers: 3, faultEveryMs: 500, corruptResults: 0, drain, limitMs: 3_600_000 };
    const results = [];
    for (const backend of backends) {
      const problem = await createProblem(backend, { samples: 70, batch: 24, microbatchSize: 5, epochs: 6 });
      const { outcome, state } = await simulate({ run: problem.run, backend, ...scenario });
      expect(outcome).toEqual({ type: 'finished' });
      const hashes = [...state.records.values()].flatMap(({ numericsHash }) =>
        numericsHash === undefined ? [] : [numericsHash],
      );
      expect(new Set(hashes).size).toBe(1);
      results.push({
        weights: problem.run.parameterServer.weights(),
        expected: problem.expected(),
        numericsHash: hashes[0],
      });
    }
    const [reference, cpu] = results;
    expect(reference!.weights).toEqual(reference!.expected);
    expect(cpu!.weights).toEqual(cpu!.expected);
    const namesAgree = backends[0]!.numericMode === backends[1]!.numericMode;
    expect(weightsHash(cpu!.weights) === weightsHash(reference!.weights)).toBe(namesAgree);
    expect(cpu!.numericsHash === reference!.numericsHash).toBe(namesAgree);
  });
});
