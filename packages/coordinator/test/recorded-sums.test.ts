/** Sums that a run records: of every step those that were added, each under the name of the worker that computed it. */
import { InlineGradient } from '@lockstep/compute';
import { type Shard, usedMicrobatches, type WorkerRecord } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { lies } from '../../sim/src/simulated-worker.ts';
import { createProblem, model, type Problem, tinyDataset } from '../../sim/test/support.ts';
import type { SumRecorder } from '../src/run-options.ts';
import { RunFixture } from './run-fixture.ts';

interface Added extends Shard {
  readonly worker: string;
  readonly isRight: boolean;
}

const backend = await hostBackend();

/** Compares each added sum with this process's own, from the weights of its step. */
class Comparison implements SumRecorder {
  /** The sums of each step that was taken. */
  readonly steps: Added[][] = [];
  restarts = 0;
  #current: Added[] = [];
  readonly #compute: InlineGradient;

  constructor({ setup, run: { parameterServer, samples } }: Problem) {
    const numerics = { hash: '', samplesPerMs: 0 };
    this.#compute = new InlineGradient({
      ...{ parameterServer, model, plan: setup.plan, dataset: tinyDataset(setup.plan.samples), samples, seed: 0 },
      // Time stands still, so that no shard pauses.
      ...{ clock: new VirtualClock(), addsWhole: true, numerics },
    });
  }

  add({ step, lo, n }: Shard & { readonly step: number }, worker: WorkerRecord | undefined, sum: Float32Array): void {
    const added = sum.slice();
    const result = this.#compute.compute(step, { lo, n }, () => false);
    if (result instanceof Promise || !result.sum || 'left' in result.sum || result.sum instanceof Float32Array) {
      throw new Error('expected a finite sum in one vector, computed at once');
    }
    const own = backend.view(result.sum);
    const isRight = added.every((value, index) => Object.is(value, own[index]));
    this.#current.push({ lo, n, worker: worker?.name ?? 'coordinator', isRight });
  }

  restart(): void {
    this.restarts += 1;
    this.#current = [];
  }

  goBack(step: number): void {
    this.steps.length = step;
    this.#current = [];
  }

  stepped(step: number): void {
    expect(this.steps).toHaveLength(step);
    this.steps.push(this.#current.sort((a, b) => a.lo - b.lo));
    this.#current = [];
  }
}

const told = [lies['one-bit'], lies.sign, lies.scaled, lies.loss, lies.correct];

/** A run with honest workers, liars that lie now and then, and workers that die; each choice follows from the seed. */
async function play(seed: number, verifyRate: number) {
  const random = randomStream(seed);
  const problem = await createProblem(backend, { seed, samples: 96, batch: 24, microbatchSize: 2, verifyRate });
  const comparison = new Comparison(problem);
  const fixture = new RunFixture({ ...problem, run: { ...problem.run, transcript: comparison } });
  for (let index = 0; index < 5; index++) {
    const isLiar = index > 1 && random() < 0.7;
    const rate = random();
    const worker = fixture.join({
      name: `${isLiar ? 'liar' : 'honest'} ${index}`,
      address: `address ${index}`,
      computeMs: (samples) => (1 + index) * samples * (random() < 0.05 ? 50 : 1),
      random,
      resultFault: () => (isLiar && random() < rate ? told[Math.floor(told.length * random())] : undefined),
    });
    if (index > 1 && random() < 0.3) fixture.clock.after(500 * random(), () => worker.kill());
    await drain();
  }
  await fixture.until(() => fixture.outcome !== undefined);
  return { steps: comparison.steps, restarts: comparison.restarts, fixture };
}

const seeds = Array.from({ length: 24 }, (_, index) => index + 1);

describe('the recorded sums of a run', () => {
  it('cover every microbatch once, are wrong only if a liar sent them, and say whether the weights are right', async () => {
    let [wrongRuns, restarts] = [0, 0];
    for (const seed of seeds) {
      const run = await play(seed, seed % 2 === 0 ? 0 : 0.2);
      const { plan } = run.fixture.problem.setup;
      expect(run.fixture.outcome).toEqual({ type: 'finished' });
      expect(run.steps).toHaveLength(plan.steps);
      for (const [step, shards] of run.steps.entries()) {
        let next = 0;
        for (const { lo, n } of shards) {
          expect(lo).toBe(next);
          next = lo + n;
        }
        expect(next).toBeGreaterThanOrEqual(usedMicrobatches(plan, step));
      }
      const wrong = run.steps.flat().filter(({ isRight }) => !isRight);
      expect(wrong.filter(({ worker }) => !worker.startsWith('liar'))).toEqual([]);
      if (wrong.length === 0) {
        const { parameterServer } = run.fixture.problem.run;
        expect(parameterServer.weights()).toEqual(run.fixture.problem.expected());
      }
      wrongRuns += wrong.length > 0 ? 1 : 0;
      restarts += run.restarts;
    }
    // Both kinds of runs are met, and steps that began again.
    expect(wrongRuns).toBeGreaterThan(3);
    expect(wrongRuns).toBeLessThan(seeds.length - 3);
    expect(restarts).toBeGreaterThan(0);
  });

  it('are all right if every shard is checked', async () => {
    for (const seed of seeds.slice(0, 10)) {
      const { steps, fixture } = await play(seed, 1);
      expect(steps.flat().filter(({ isRight }) => !isRight)).toEqual([]);
      expect(fixture.problem.run.parameterServer.weights()).toEqual(fixture.problem.expected());
    }
  });
});
