import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionId } from '../src/state.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

/** Time of a replica with 50 inner steps. */
const msPerMicrobatch = 8;
/** Time of a result besides computing. */
const linkMs = 2;
const microbatches = 8;

/** Two workers that share all steps, and whose usual speed is known. */
function twoWorkers() {
  const coordinator = new ScriptedCoordinator({ startWorkers: 2, epochs: 1_000 });
  const workers = [coordinator.join({ samplesPerMs: 0.25 }), coordinator.join({ samplesPerMs: 0.25 })] as const;
  const run = { coordinator, workers };
  for (let step = 0; step < 10; step++) takeStep(run, [1, 1]);
  return run;
}

interface Run {
  readonly coordinator: ScriptedCoordinator;
  readonly workers: readonly [ConnectionId, ConnectionId];
}

/**
 * Takes a step in which a microbatch takes each worker `timesAsLong` times its usual time.
 * @returns the number of microbatches of each worker
 */
function takeStep({ coordinator, workers }: Run, timesAsLong: readonly number[]): number[] {
  const answers = workers.flatMap((worker, place) => {
    let endMs = coordinator.nowMs + linkMs;
    return coordinator.tasksOf(worker).map((task) => {
      const computeMs = task.n * msPerMicrobatch * timesAsLong[place]!;
      endMs += computeMs;
      return { worker, task, computeMs, endMs };
    });
  });
  for (const { worker, task, computeMs, endMs } of answers.sort((a, b) => a.endMs - b.endMs)) {
    coordinator.nowMs = endMs;
    coordinator.gradient(worker, task, computeMs);
  }
  const shareOf = (id: ConnectionId): number =>
    answers.filter(({ worker }) => worker === id).reduce((sum, { task }) => sum + task.n, 0);
  return workers.map(shareOf);
}

/** Generates a factor for each worker and step, from 1 - `part` to 1 + `part`. */
function noise(part: number, steps: number): fc.Arbitrary<[number, number][]> {
  const factor = fc.double({ min: 1 - part, max: 1 + part, noNaN: true });
  return fc.array(fc.tuple(factor, factor), { minLength: steps, maxLength: steps });
}

describe('the shares of two workers whose speeds vary', () => {
  it('are equal if their speeds differ only by noise of 15 %', () => {
    fc.assert(
      fc.property(noise(0.15, 40), (steps) => {
        const run = twoWorkers();
        const cuts = steps.map((factors) => takeStep(run, factors));
        for (const cut of cuts) expect(cut).toEqual([4, 4]);
      }),
      { numRuns: 30 },
    );
  });

  /** Steps until the cut follows a speed: four results make up over half of a change; two steps are planned ahead. */
  const mostStepsBehind = 8;

  it('follow within eight steps a worker that slows down to half its speed, and one that recovers', () => {
    const lasting = mostStepsBehind + 20;
    fc.assert(
      fc.property(fc.constantFrom(0, 1), noise(0.1, 2 * lasting), (slow, steps) => {
        const run = twoWorkers();
        const cuts = steps.map((factors, step) =>
          takeStep(
            run,
            factors.map((factor, place) => (place === slow && step < lasting ? 2 * factor : factor)),
          ),
        );
        // Two thirds of the microbatches are 5.3: five and six of them take equally long.
        for (const cut of cuts.slice(mostStepsBehind, lasting)) {
          expect(cut[slow]).toBeGreaterThanOrEqual(2);
          expect(cut[slow]).toBeLessThanOrEqual(3);
          expect(cut[0]! + cut[1]!).toBe(microbatches);
        }
        for (const cut of cuts.slice(lasting + mostStepsBehind)) expect(cut).toEqual([4, 4]);
      }),
      { numRuns: 20 },
    );
  });
});
