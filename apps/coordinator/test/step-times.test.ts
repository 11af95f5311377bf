/** Where a step's time goes: parts that follow one another, whatever workers claim. */
import type { StepTimes } from '@lockstep/train';
import type { Trace } from '@lockstep/training';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStepTimes } from '../src/step-times.ts';

const asked = (workerId: string, step: number, atMs: number): Trace => ({ type: 'asked', workerId, step, atMs });

const answered = (
  workerId: string,
  step: number,
  arrivedAtMs: number,
  computeMs: number,
  turnaroundMs: number | undefined,
): Trace => ({ type: 'answered', workerId, step, arrivedAtMs, atMs: arrivedAtMs, count: 1, computeMs, turnaroundMs });

const partsOf = ({ packMs, sendMs, computeMs, waitMs, reduceMs, optimizerMs }: StepTimes): number[] => [
  packMs,
  sendMs,
  computeMs,
  waitMs,
  reduceMs,
  optimizerMs,
];

describe('step times', () => {
  it('follow the mean worker through a step, then the last answer, the sum and the optimizer', () => {
    const times = createStepTimes();
    times.stepped(0, 100);
    for (const trace of [
      asked('a', 1, 102),
      asked('b', 1, 104),
      answered('a', 1, 120, 10, 12),
      answered('b', 1, 130, 20, 24),
      { type: 'whole', step: 1, atMs: 133 } as const,
    ]) {
      times.trace(trace);
    }
    times.stepped(1, 137);
    expect(times.times()).toEqual({
      steps: 1,
      stepMs: 37,
      // Asked after 3 ms in the mean, and 3 ms that the mean worker held its shard without computing.
      packMs: 6,
      // 22 ms from asking to arrival in the mean, of which 18 were at the worker.
      sendMs: 4,
      computeMs: 15,
      waitMs: 5,
      reduceMs: 3,
      optimizerMs: 4,
    });
  });

  it('count a worker with two shards once, and late answers of earlier steps not at all', () => {
    const times = createStepTimes();
    times.stepped(0, 0);
    for (const trace of [
      asked('a', 1, 1),
      asked('a', 1, 2),
      answered('late', 0, 3, 3, 3),
      answered('a', 1, 11, 4, 5),
      answered('a', 1, 17, 5, 11),
      { type: 'whole', step: 1, atMs: 18 } as const,
    ]) {
      times.trace(trace);
    }
    times.stepped(1, 20);
    expect(times.times()).toMatchObject({ packMs: 3, sendMs: 5, computeMs: 9, waitMs: 0, reduceMs: 1, optimizerMs: 2 });
  });

  it('are not known before the second step', () => {
    const times = createStepTimes();
    expect(times.times()).toBeUndefined();
    times.trace(asked('a', 0, 1));
    times.trace(answered('a', 0, 5, 1, 1));
    times.trace({ type: 'whole', step: 0, atMs: 6 });
    times.stepped(0, 7);
    expect(times.times()).toBeUndefined();
  });

  it('add up to the step and are never negative, whatever workers say', () => {
    const time = fc.double({ min: 0, max: 1e3, noNaN: true });
    const claim = fc.oneof(time, fc.constantFrom(0, 1e300, Number.MAX_VALUE));
    const worker = fc.record({
      askedAfter: time,
      outFor: time,
      computeMs: claim,
      turnaroundMs: fc.option(claim, { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(worker, { minLength: 1, maxLength: 9 }), time, time, (workers, sumMs, optimizerMs) => {
        const times = createStepTimes();
        times.stepped(0, 50);
        for (const [index, { askedAfter, outFor, computeMs, turnaroundMs }] of workers.entries()) {
          times.trace(asked(`w${index}`, 1, 50 + askedAfter));
          times.trace(answered(`w${index}`, 1, 50 + askedAfter + outFor, computeMs, turnaroundMs));
        }
        const lastMs = Math.max(...workers.map(({ askedAfter, outFor }) => 50 + askedAfter + outFor));
        times.trace({ type: 'whole', step: 1, atMs: lastMs + sumMs });
        times.stepped(1, lastMs + sumMs + optimizerMs);
        const seen = times.times()!;
        for (const part of partsOf(seen)) expect(part).toBeGreaterThanOrEqual(-1e-9);
        expect(partsOf(seen).reduce((sum, part) => sum + part, 0)).toBeCloseTo(seen.stepMs, 6);
      }),
    );
  });
});
