import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleFields, targetFields, textFormat } from '../src/problem.ts';
import { simulateScenario } from './scenario.ts';

const geometry = fc.record({
  roundsToHalves: fc.boolean(),
  sampleField: fc.constantFrom(...Object.values(sampleFields)),
  targetField: fc.constantFrom(...Object.values(targetFields)),
  samples: fc.integer({ min: 1, max: 90 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
  epochs: fc.integer({ min: 1, max: 3 }),
  participation: fc.constantFrom('fastest' as const, 'rotation' as const),
  /** A vector in three chunks, or in one. */
  limits: fc.constantFrom({ chunkBytes: 64 }, {}),
  innerSteps: fc.option(
    fc.record({
      batch: fc.integer({ min: 1, max: 5 }),
      learningRate: fc.constant(0.05),
      momentum: fc.constantFrom(0, 0.9),
    }),
    { nil: undefined },
  ),
});

describe('a run in virtual time', () => {
  it('gives the weights of the oracle to the bit, with any geometry and number of workers', async () => {
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), fc.integer({ min: 1, max: 9 }), async (options, seed, workers) => {
        const scenario = { seed, workers, faultEveryMs: Number.POSITIVE_INFINITY, corruptResults: 0 };
        const { problem, simulation } = await simulateScenario(scenario, options);
        expect(simulation.outcome).toEqual({ type: 'finished' });
        expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        expect(simulation.state.faults).toMatchObject({ reassigned: 0, rejected: 0, disconnects: 0 });
      }),
      { numRuns: 20 },
    );
  });

  it('gives the same weights while workers join, die and freeze at any moment', async () => {
    let disconnects = 0;
    let duplicated = 0;
    let reassigned = 0;
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), fc.integer({ min: 1, max: 5 }), async (options, seed, workers) => {
        const scenario = { seed, workers, faultEveryMs: 150, corruptResults: 0 };
        const { problem, simulation } = await simulateScenario(scenario, { ...options, epochs: 4 });
        expect(simulation.outcome).toEqual({ type: 'finished' });
        expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        disconnects += simulation.state.faults.disconnects;
        duplicated += simulation.state.faults.duplicated;
        reassigned += simulation.state.faults.reassigned;
      }),
      { numRuns: 100 },
    );
    // The property means nothing unless faults met shards.
    expect(Math.min(disconnects, duplicated, reassigned)).toBeGreaterThan(20);
  });

  it('of a text gives the same weights while workers join, die, freeze and corrupt results', async () => {
    let rejected = 0;
    for (let seed = 1; seed <= 3; seed++) {
      const scenario = { seed, workers: 3, faultEveryMs: 150, corruptResults: 0.02 };
      const { problem, simulation } = await simulateScenario(scenario, { ...textFormat, samples: 40, epochs: 8 });
      expect(simulation.outcome).toEqual({ type: 'finished' });
      expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
      expect(simulation.state.faults.disconnects).toBeGreaterThan(0);
      rejected += simulation.state.faults.rejected;
    }
    expect(rejected).toBeGreaterThan(0);
  });

  it('never adds a corrupt result, and never hangs on one', async () => {
    let rejected = 0;
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), async (options, seed) => {
        const scenario = { seed, workers: 3, faultEveryMs: 1_000, corruptResults: 0.05 };
        const { problem, simulation } = await simulateScenario(scenario, options);
        rejected += simulation.state.faults.rejected;
        if (simulation.outcome.type === 'finished') {
          expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        } else {
          // Two corrupt results of one shard look like divergence, and stop the run with a message.
          expect(simulation.outcome).toMatchObject({ type: 'failed', message: expect.stringContaining('not finite') });
        }
      }),
      { numRuns: 60 },
    );
    expect(rejected).toBeGreaterThan(20);
  });

  it('goes on over links that need seconds for a step, and gives the same weights', async () => {
    for (const workers of [1, 2, 3]) {
      const scenario = { seed: workers, workers, faultEveryMs: Number.POSITIVE_INFINITY, corruptResults: 0 };
      // About 300 bytes each way take a second: several times the deadline of a result while the link is unmeasured.
      const limits = { softDeadlineMs: 20, hardDeadlineMs: 400, numericsCheckMs: 800 };
      const { problem, simulation } = await simulateScenario({ ...scenario, bytesPerMs: 0.3 }, { epochs: 5, limits });
      expect(simulation.outcome).toEqual({ type: 'finished' });
      expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
      expect(simulation.state.faults.disconnects).toBe(0);
      expect(simulation.events.map(({ type }) => type)).toContain('slowLink');
    }
  });

  it('counts a microbatch of each worker in every epoch if all take part, and gives the same weights', async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const scenario = { seed, workers: 12, faultEveryMs: Number.POSITIVE_INFINITY, corruptResults: 0 };
      const options = { samples: 320, batch: 16, microbatchSize: 4, epochs: 4, startWorkers: 12 };
      const { problem, simulation } = await simulateScenario(scenario, { ...options, participation: 'rotation' });
      expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
      for (const { shards } of simulation.state.records.values()) expect(shards).toBeGreaterThanOrEqual(options.epochs);
    }
  });

  it('replays a seed exactly', async () => {
    const scenario = { seed: 7, workers: 4, faultEveryMs: 200, corruptResults: 0.02 };
    const first = await simulateScenario(scenario, { epochs: 5 });
    const second = await simulateScenario(scenario, { epochs: 5 });
    expect(second.simulation.events).toEqual(first.simulation.events);
    expect(second.simulation.virtualMs).toBe(first.simulation.virtualMs);
  });
});
