import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type StepTimes, StepTiming } from '../src/record/step-timing.ts';
import { answered, asked, summed } from './traces.ts';

function setUp() {
  const times = new StepTiming();
  return { times, trace: times.trace.bind(times) };
}

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
    const { times, trace } = setUp();
    times.stepped(100);
    trace(asked('a', 1, 102));
    trace(asked('b', 1, 104));
    trace(answered('a', 1, 120, 10, 12));
    trace(answered('b', 1, 130, 20, 24));
    trace(summed(1, 133));
    times.stepped(137);
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
    const { times, trace } = setUp();
    times.stepped(0);
    trace(asked('a', 1, 1));
    trace(asked('a', 1, 2));
    trace(answered('late', 0, 3, 3, 3));
    trace(answered('a', 1, 11, 4, 5));
    trace(answered('a', 1, 17, 5, 11));
    trace(summed(1, 18));
    times.stepped(20);
    expect(times.times()).toMatchObject({ packMs: 3, sendMs: 5, computeMs: 9, waitMs: 0, reduceMs: 1, optimizerMs: 2 });
  });

  it('are not known before the second step', () => {
    const { times, trace } = setUp();
    expect(times.times()).toBeUndefined();
    trace(asked('a', 0, 1));
    trace(answered('a', 0, 5, 1, 1));
    trace(summed(0, 6));
    times.stepped(7);
    expect(times.times()).toBeUndefined();
  });

  it('add up to the step and are never negative, whatever workers claim', () => {
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
        const { times, trace } = setUp();
        times.stepped(50);
        for (const [index, { askedAfter, outFor, computeMs, turnaroundMs }] of workers.entries()) {
          trace(asked(`w${index}`, 1, 50 + askedAfter));
          trace(answered(`w${index}`, 1, 50 + askedAfter + outFor, computeMs, turnaroundMs));
        }
        const lastMs = Math.max(...workers.map(({ askedAfter, outFor }) => 50 + askedAfter + outFor));
        trace(summed(1, lastMs + sumMs));
        times.stepped(lastMs + sumMs + optimizerMs);
        const seen = times.times()!;
        for (const part of partsOf(seen)) expect(part).toBeGreaterThanOrEqual(-1e-9);
        expect(partsOf(seen).reduce((sum, part) => sum + part, 0)).toBeCloseTo(seen.stepMs, 6);
      }),
    );
  });
});
