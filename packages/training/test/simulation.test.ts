import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Simulation, simulate } from '../src/simulator/simulate.ts';
import { createProblem, hostBackend, type Problem, type ProblemOptions } from './support.ts';

const drain = () => new Promise<void>((resolve) => setImmediate(resolve));

interface ScriptedCoordinator {
  readonly seed: number;
  readonly workers: number;
  readonly mishapEveryMs: number;
  readonly spoiltResults: number;
}

async function play(
  coordinator: ScriptedCoordinator,
  options: ProblemOptions,
): Promise<{ problem: Problem; simulation: Simulation }> {
  const backend = await hostBackend();
  const problem = await createProblem(backend, { seed: coordinator.seed, ...options });
  const simulation = await simulate({ run: problem.run, backend, drain, limitMs: 3_600_000, ...coordinator });
  return { problem, simulation };
}

const geometry = fc.record({
  samples: fc.integer({ min: 1, max: 90 }),
  batch: fc.integer({ min: 1, max: 40 }),
  microbatchSize: fc.integer({ min: 1, max: 9 }),
  epochs: fc.integer({ min: 1, max: 3 }),
});

describe('a run in virtual time', () => {
  it('gives the oracle its weights to the bit, whatever the geometry and however many workers', async () => {
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), fc.integer({ min: 1, max: 9 }), async (options, seed, workers) => {
        const coordinator = { seed, workers, mishapEveryMs: Number.POSITIVE_INFINITY, spoiltResults: 0 };
        const { problem, simulation } = await play(coordinator, options);
        expect(simulation.outcome).toEqual({ type: 'finished' });
        expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        expect(simulation.state.faults).toMatchObject({ reassigned: 0, rejected: 0, disconnects: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('gives the same weights while workers join, die and freeze at any moment', async () => {
    let disconnects = 0;
    let duplicated = 0;
    let reassigned = 0;
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), fc.integer({ min: 1, max: 5 }), async (options, seed, workers) => {
        const coordinator = { seed, workers, mishapEveryMs: 300, spoiltResults: 0 };
        const { problem, simulation } = await play(coordinator, { ...options, epochs: 8 });
        expect(simulation.outcome).toEqual({ type: 'finished' });
        expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        disconnects += simulation.state.faults.disconnects;
        duplicated += simulation.state.faults.duplicated;
        reassigned += simulation.state.faults.reassigned;
      }),
      { numRuns: 200 },
    );
    // The property means nothing where no mishap met a shard.
    expect(Math.min(disconnects, duplicated, reassigned)).toBeGreaterThan(20);
  });

  it('never takes a spoilt result, and never hangs on one', async () => {
    let rejected = 0;
    await fc.assert(
      fc.asyncProperty(geometry, fc.nat(), async (options, seed) => {
        const coordinator = { seed, workers: 3, mishapEveryMs: 1_000, spoiltResults: 0.05 };
        const { problem, simulation } = await play(coordinator, options);
        rejected += simulation.state.faults.rejected;
        if (simulation.outcome.type === 'finished') {
          expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
        } else {
          // Two spoilt results of one shard look like divergence, and stop the run with a sentence.
          expect(simulation.outcome).toMatchObject({ type: 'failed', message: expect.stringContaining('not finite') });
        }
      }),
      { numRuns: 60 },
    );
    expect(rejected).toBeGreaterThan(20);
  });

  it('replays a seed exactly', async () => {
    const coordinator = { seed: 7, workers: 4, mishapEveryMs: 200, spoiltResults: 0.02 };
    const first = await play(coordinator, { epochs: 5 });
    const second = await play(coordinator, { epochs: 5 });
    expect(second.simulation.events).toEqual(first.simulation.events);
    expect(second.simulation.virtualMs).toBe(first.simulation.virtualMs);
  });
});
