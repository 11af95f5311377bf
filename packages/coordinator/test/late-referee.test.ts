/** Sums that the coordinator began to compute before the run went back do not count, even for an open shard. */
import { shardKey } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { lies } from '../../sim/src/simulated-worker.ts';
import { createProblem } from '../../sim/test/support.ts';
import { RunFixture } from './run-fixture.ts';

/** Plays a run with a liar and a slow referee. @returns how many of its sums were of before the run went back */
async function play(seed: number): Promise<number> {
  const random = randomStream(seed);
  const problem = await createProblem(await hostBackend(), {
    ...{ seed, samples: 96, batch: 24, microbatchSize: 2, epochs: 10, verifyRate: 0.2, keptStates: 4 },
  });
  let late = 0;
  const { referee } = problem.run;
  const rewinds = (): number => fixture.run.state.rewinds.length;
  /** A sum that is still awaited when the run goes back arrives once its shard is open again. */
  const slowReferee: typeof referee = async (step, shard) => {
    const [before, dueAtMs] = [rewinds(), fixture.clock.nowMs() + 600 * random()];
    const own = await referee(step, shard);
    const { clock, run } = fixture;
    const isOpen = (): boolean => {
      const { current } = run.state;
      return current.step === step && current.shards.get(shardKey(shard))?.done === false;
    };
    const mayArrive = (): boolean =>
      rewinds() === before ? clock.nowMs() >= dueAtMs : isOpen() || run.state.current.step > step;
    while (!mayArrive()) await new Promise<void>((resolve) => clock.after(1, resolve));
    if (rewinds() > before && isOpen()) late += 1;
    return own;
  };
  const fixture: RunFixture = new RunFixture({ ...problem, run: { ...problem.run, referee: slowReferee } });
  let results = 0;
  for (const name of ['honest', 'liar', 'honest too']) {
    fixture.join({
      ...{ name, address: name, random, computeMs: (samples) => samples / 4 },
      resultFault: () => (name === 'liar' && ++results > 12 ? lies.sign : undefined),
    });
    await drain();
  }
  await fixture.finish();
  return late;
}

// Few seeds meet the situation.
it.each([10, 17])('a sum that the coordinator computed before the run went back is dropped (seed %i)', async (seed) => {
  expect(await play(seed)).toBeGreaterThan(0);
});
