import { randomStream } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { RunFixture } from '../../coordinator/test/run-fixture.ts';
import { createProblem } from './support.ts';

const backend = await hostBackend();

/** Plays a whole run with controls, and faults injected into its workers, at times drawn from a seed. */
async function controlledRun(seed: number): Promise<RunFixture> {
  const chance = randomStream(seed);
  const problem = await createProblem(backend, { seed, startWorkers: 2 });
  const fixture = new RunFixture(problem, { faultInjection: true, waitForStart: chance() < 0.5 });
  const { run, clock } = fixture;
  let workers = 0;
  const join = (): void => {
    workers += 1;
    const computeMs = (samples: number): number => samples * (0.5 + chance());
    fixture.join({ name: `worker ${workers}`, computeMs, link: { latencyMs: 1 + 5 * chance(), bytesPerMs: 1e9 } });
  };
  const interfere = (): void => {
    if (fixture.outcome !== undefined) return;
    const roll = chance();
    const workerId = `w${1 + Math.floor(chance() * workers)}`;
    if (roll < 0.3) run.control('pause');
    else if (roll < 0.6) run.control('resume');
    else if (roll < 0.7) run.control('start');
    else if (roll < 0.8) run.manageWorker({ type: 'injectFault', workerId, action: 'freeze', forMs: 2_000 * chance() });
    else if (roll < 0.9) run.manageWorker({ type: 'injectFault', workerId, action: 'slow', forMs: 1_000 * chance() });
    else {
      const isRemoved = chance() < 0.5;
      run.manageWorker(
        isRemoved ? { type: 'remove', workerId } : { type: 'injectFault', workerId, action: 'kill', forMs: 0 },
      );
      run.manageWorker({ type: 'rename', workerId, name: 'somewhere' });
      join();
    }
    clock.after(60 * chance(), interfere);
  };
  for (let worker = 0; worker < 3; worker++) join();
  clock.after(30, interfere);
  clock.after(20_000, () => run.control('start'));
  await drain();
  return fixture;
}

describe('control and injected faults', () => {
  it('change no bit of the weights', async () => {
    const types = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const fixture = await controlledRun(seed);
      await fixture.finish();
      for (const { type } of fixture.events) types.add(type);
      for (const trace of fixture.traces) {
        if (trace.type === 'answered') expect(trace.turnaroundMs).toBeGreaterThanOrEqual(0);
      }
    }
    expect([...types]).toEqual(expect.arrayContaining(['pauseRequested', 'resumed', 'injectFault', 'renamed', 'left']));
  });
});
