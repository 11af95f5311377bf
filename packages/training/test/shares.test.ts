import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundedRate, rateAfter } from '../src/coordinator/rates.ts';
import { coarseShares, shares } from '../src/coordinator/shares.ts';
import { shardsOfRange } from '../src/tree.ts';
import { createCoordinator, type ScriptedCoordinator } from './scripted-coordinator.ts';

const rates = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-4, max: 1e6, noNaN: true })), {
  minLength: 1,
  maxLength: 12,
});

describe('shares', () => {
  it('add up to all microbatches, none below 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), rates, (microbatches, samplesPerMs) => {
        const cut = shares(microbatches, samplesPerMs);
        expect(cut).toHaveLength(samplesPerMs.length);
        expect(cut.every((share) => Number.isInteger(share) && share >= 0)).toBe(true);
        expect(cut.reduce((sum, share) => sum + share, 0)).toBe(microbatches);
      }),
    );
  });

  it('are within one microbatch of the exact proportion', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 }),
        (microbatches, samplesPerMs) => {
          const total = samplesPerMs.reduce((sum, rate) => sum + rate, 0);
          for (const [index, share] of shares(microbatches, samplesPerMs).entries()) {
            expect(Math.abs(share - (microbatches * samplesPerMs[index]!) / total)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('take an unmeasured worker for an average one', () => {
    expect(shares(12, [2, 0, 4])).toEqual([3, 4, 5].map((_, index) => shares(12, [2, 3, 4])[index]));
    expect(shares(9, [0, 0, 0])).toEqual([3, 3, 3]);
  });
});

describe('coarse shares', () => {
  const shardsOf = (cut: readonly number[]): number => {
    let from = 0;
    return cut.reduce((shards, share) => {
      const own = shardsOfRange(from, from + share).length;
      from += share;
      return shards + own;
    }, 0);
  };

  it('add up to all microbatches, leave out nobody whom fine ones do not, and take hardly longer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), rates, (microbatches, samplesPerMs) => {
        const known = samplesPerMs.map((rate) => rate || 1);
        const [fine, coarse] = [shares(microbatches, known), coarseShares(microbatches, known)];
        expect(coarse.every((share, at) => Number.isInteger(share) && share >= (fine[at] === 0 ? 0 : 1))).toBe(true);
        expect(coarse.reduce((sum, share) => sum + share, 0)).toBe(microbatches);
        const slowest = (cut: readonly number[]) => Math.max(...cut.map((share, at) => share / known[at]!));
        expect(slowest(coarse)).toBeLessThanOrEqual(slowest(fine) * 1.126);
      }),
    );
  });

  it.each([
    // Two workers that the noise of measuring tells apart get one shard each, and not six together.
    { microbatches: 32, samplesPerMs: [100, 113], cut: [16, 16], shards: 2 },
    { microbatches: 32, samplesPerMs: [2, 1], cut: [24, 8], shards: 3 },
    { microbatches: 32, samplesPerMs: [1, 1, 1], cut: [12, 8, 12], shards: 6 },
    { microbatches: 8, samplesPerMs: [1, 0], cut: [4, 4], shards: 2 },
    // A short last batch, whose end is no shard's.
    { microbatches: 7, samplesPerMs: [1, 1], cut: [4, 3], shards: 3 },
    { microbatches: 4, samplesPerMs: [1, 1, 1], cut: [1, 2, 1], shards: 4 },
  ])('of $microbatches microbatches among $samplesPerMs are $cut', ({ microbatches, samplesPerMs, cut, shards }) => {
    expect(coarseShares(microbatches, samplesPerMs)).toEqual(cut);
    expect(shardsOf(cut)).toBe(shards);
  });
});

describe('a rate', () => {
  it('is bounded whatever a worker says, and never moves without a measurement', () => {
    fc.assert(
      fc.property(fc.double(), fc.integer({ min: 1, max: 10_000 }), fc.double(), (before, samples, computeMs) => {
        const rate = rateAfter(boundedRate(before), samples, computeMs);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(1e6);
        expect(boundedRate(rate)).toBe(rate);
        if (!(computeMs > 0)) expect(rate).toBe(boundedRate(before));
      }),
    );
  });

  it('comes close to what is measured again and again', () => {
    let rate = 100;
    for (let result = 0; result < 40; result++) rate = rateAfter(rate, 30, 10);
    expect(rate).toBeCloseTo(3, 1);
  });
});

/** Plays one step in which each worker takes a time of its own for a sample. */
function playStep(coordinator: ScriptedCoordinator, msPerSample: ReadonlyMap<number, number>): void {
  const { step } = coordinator.state.current;
  for (const [connection, ms] of msPerSample) {
    for (const task of coordinator.tasksOf(connection)) {
      if (task.step !== step) continue;
      const samples = task.n * coordinator.setup.plan.microbatchSize;
      coordinator.nowMs += ms * samples;
      coordinator.gradient(connection, task, ms * samples);
    }
  }
}

describe('a worker that is too slow for one microbatch', () => {
  it('is taken to be 2 % faster with each step that leaves it out, is tried again, and is measured', () => {
    const coordinator = createCoordinator({ startWorkers: 2, epochs: 1_000 });
    const [quick, slow] = [coordinator.join({ samplesPerMs: 1 }), coordinator.join({ samplesPerMs: 0.02 })];
    const rateOf = () => coordinator.state.connections.get(slow)!.samplesPerMs;
    expect(coordinator.tasksOf(slow)).toEqual([]);
    // The first step and the one after it have been planned.
    expect(rateOf()).toBeCloseTo(0.02 * 1.02 ** 2, 12);
    const pace = new Map([
      [quick, 1],
      [slow, 2],
    ]);
    let leftOut = 0;
    while (coordinator.state.records.get('w2')!.shards === 0) {
      playStep(coordinator, pace);
      leftOut += 1;
      expect(leftOut).toBeLessThan(100);
    }
    expect(leftOut).toBeGreaterThan(5);
    // It turns out to be half as fast as the other, and from then on has its part.
    for (let step = 0; step < 30; step++) playStep(coordinator, pace);
    expect(rateOf()).toBeCloseTo(0.5, 1);
    const shareOf = (connection: number) => coordinator.tasksOf(connection).reduce((sum, { n }) => sum + n, 0);
    expect([shareOf(quick), shareOf(slow)]).toEqual([6, 2]);
  });

  it('keeps its rate where there are more workers than microbatches, since somebody must be left out', () => {
    const coordinator = createCoordinator({ startWorkers: 3, batch: 4, samples: 64 });
    const connections = Array.from({ length: 3 }, () => coordinator.join({ samplesPerMs: 1 }));
    const idle = connections.find((connection) => coordinator.tasksOf(connection).length === 0)!;
    for (let step = 0; step < 5; step++)
      playStep(coordinator, new Map(connections.map((connection) => [connection, 1])));
    expect(coordinator.state.connections.get(idle)!.samplesPerMs).toBe(1);
  });
});
