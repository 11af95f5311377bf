import { expect, it } from 'vitest';
import { simulateScenario } from './scenario.ts';

it('a run is hardly slowed by a worker that stands still for nine tenths of each 10, 100 or 1,000 ms', async () => {
  const options = { samples: 120, batch: 64, microbatchSize: 4, epochs: 150 };
  const periods = [10, 100, 1_000];
  let aloneMs = 0;
  const besideMs = periods.map(() => 0);
  for (let seed = 1; seed <= 3; seed++) {
    const scenario = { seed, workers: 2, faultEveryMs: Number.POSITIVE_INFINITY, corruptResults: 0 };
    aloneMs += (await simulateScenario(scenario, options)).simulation.virtualMs;
    for (const [index, everyMs] of periods.entries()) {
      const { problem, simulation } = await simulateScenario({ ...scenario, stutterEveryMs: [everyMs] }, options);
      expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
      besideMs[index]! += simulation.virtualMs;
    }
  }
  for (const each of besideMs) expect(aloneMs / each).toBeGreaterThan(0.85);
});
