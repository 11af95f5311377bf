import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Trace } from '../src/coordinator/run-options.ts';
import { type StepTimes, StepTiming } from '../src/record/step-timing.ts';

function setUp() {
  const timing = new StepTiming();
  timing.isWatched = true;
  return { timing, trace: timing.trace.bind(timing) };
}

describe('the timeline of a step', () => {
  it('shows what each worker spends it on', () => {
    const { timing, trace } = setUp();
    expect(timing.timeline).toBeUndefined();
    trace(asked('a', 0, 100));
    trace(asked('b', 0, 101));
    trace(answered('a', 0, 130, 18, 20));
    trace(answered('b', 0, 171, 50, 50));
    trace(summed(0, 171));
    expect(timing.timeline).toEqual({
      type: 'timeline',
      step: 0,
      durationMs: 71,
      rows: [
        {
          workerId: 'a',
          spans: [
            { kind: 'receive', fromMs: 0, toMs: 5 },
            { kind: 'wait', fromMs: 5, toMs: 7 },
            { kind: 'compute', fromMs: 7, toMs: 25 },
            { kind: 'send', fromMs: 25, toMs: 30 },
            { kind: 'wait', fromMs: 30, toMs: 71 },
          ],
        },
        {
          workerId: 'b',
          spans: [
            { kind: 'wait', fromMs: 0, toMs: 1 },
            { kind: 'receive', fromMs: 1, toMs: 11 },
            { kind: 'compute', fromMs: 11, toMs: 61 },
            { kind: 'send', fromMs: 61, toMs: 71 },
          ],
        },
      ],
    });
    expect(timing.averagesOf('a')).toMatchObject({ computeMs: 18, sendMs: 10, waitMs: 43 });
    expect(timing.averagesOf('unknown')).toEqual({ computeMs: 0, sendMs: 0, waitMs: 0 });
  });

  it('stays within the step, in order and bounded, whatever workers claim', () => {
    const time = fc.double({ min: 0, max: 1e4, noNaN: true });
    const claim = fc.oneof(time, fc.constantFrom(0, 1e300, Number.MAX_VALUE));
    const event = fc.oneof(
      fc.record({ type: fc.constant('asked' as const), worker: fc.nat(90), step: fc.nat(2), wait: time }),
      fc.record({
        type: fc.constant('answered' as const),
        worker: fc.nat(90),
        step: fc.nat(2),
        wait: time,
        computeMs: claim,
        turnaroundMs: fc.option(claim, { nil: undefined }),
      }),
      fc.record({ type: fc.constant('whole' as const), step: fc.nat(2), wait: time }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 300, size: 'max' }), (events) => {
        const { timing, trace } = setUp();
        let atMs = 0;
        for (const each of events) {
          atMs += each.wait / 1000;
          if (each.type === 'asked') trace(asked(`w${each.worker}`, each.step, atMs));
          else if (each.type === 'whole') trace(summed(each.step, atMs));
          else trace(answered(`w${each.worker}`, each.step, atMs, each.computeMs, each.turnaroundMs));
        }
        const { timeline: last } = timing;
        if (!last) return;
        expect(last.rows.length).toBeLessThanOrEqual(64);
        for (const { spans } of last.rows) {
          expect(spans.length).toBeLessThanOrEqual(64);
          let cursor = 0;
          for (const { fromMs, toMs } of spans) {
            expect(fromMs).toBeGreaterThanOrEqual(cursor);
            expect(toMs).toBeGreaterThan(fromMs);
            cursor = toMs;
          }
          expect(cursor).toBeLessThanOrEqual(last.durationMs);
        }
      }),
      { numRuns: 200 },
    );
  });
});

function asked(workerId: string, step: number, atMs: number): Trace {
  return { type: 'asked', workerId, step, atMs };
}

function answered(
  workerId: string,
  step: number,
  atMs: number,
  computeMs: number,
  turnaroundMs: number | undefined,
): Trace {
  return { type: 'answered', workerId, step, arrivedAtMs: atMs, atMs, count: 1, computeMs, turnaroundMs };
}

function summed(step: number, atMs: number): Trace {
  return { type: 'whole', step, atMs };
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
  it('are medians of the steps', () => {
    const { timing, trace } = setUp();
    let atMs = 0;
    const times: number[] = [];
    timing.stepped(atMs);
    for (const [step, ms] of [10, 40, 20, 70, 30, 90].entries()) {
      trace(asked('a', step, atMs));
      trace(answered('a', step, atMs + 5, 5, 5));
      trace(summed(step, atMs + 5));
      atMs += ms;
      timing.stepped(atMs);
      times.push(timing.times()!.stepMs);
    }
    expect(times).toEqual([10, 25, 20, 30, 30, 35]);
  });

  it('follow the mean worker through a step, then the last answer, the sum and the optimizer', () => {
    const { timing, trace } = setUp();
    timing.stepped(100);
    trace(asked('a', 1, 102));
    trace(asked('b', 1, 104));
    trace(answered('a', 1, 120, 10, 12));
    trace(answered('b', 1, 130, 20, 24));
    trace(summed(1, 133));
    timing.stepped(137);
    expect(timing.times()).toEqual({
      steps: 1,
      stepMs: 37,
      // The mean request comes after 3 ms, and the mean worker held its shard for 3 ms without computing.
      packMs: 6,
      // 22 ms from request to arrival on average, of which 18 were at the worker.
      sendMs: 4,
      computeMs: 15,
      waitMs: 5,
      reduceMs: 3,
      optimizerMs: 4,
    });
  });

  it('count a worker with two shards once, and late answers of earlier steps not at all', () => {
    const { timing, trace } = setUp();
    timing.stepped(0);
    trace(asked('a', 1, 1));
    trace(asked('a', 1, 2));
    trace(answered('late', 0, 3, 3, 3));
    trace(answered('a', 1, 11, 4, 5));
    trace(answered('a', 1, 17, 5, 11));
    trace(summed(1, 18));
    timing.stepped(20);
    expect(timing.times()).toMatchObject({
      packMs: 3,
      sendMs: 5,
      computeMs: 9,
      waitMs: 0,
      reduceMs: 1,
      optimizerMs: 2,
    });
  });

  it('are not known before the second step', () => {
    const { timing, trace } = setUp();
    expect(timing.times()).toBeUndefined();
    trace(asked('a', 0, 1));
    trace(answered('a', 0, 5, 1, 1));
    trace(summed(0, 6));
    timing.stepped(7);
    expect(timing.times()).toBeUndefined();
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
        const { timing, trace } = setUp();
        timing.stepped(50);
        for (const [index, { askedAfter, outFor, computeMs, turnaroundMs }] of workers.entries()) {
          trace(asked(`w${index}`, 1, 50 + askedAfter));
          trace(answered(`w${index}`, 1, 50 + askedAfter + outFor, computeMs, turnaroundMs));
        }
        const lastMs = Math.max(...workers.map(({ askedAfter, outFor }) => 50 + askedAfter + outFor));
        trace(summed(1, lastMs + sumMs));
        timing.stepped(lastMs + sumMs + optimizerMs);
        const seen = timing.times()!;
        for (const part of partsOf(seen)) expect(part).toBeGreaterThanOrEqual(-1e-9);
        expect(partsOf(seen).reduce((sum, part) => sum + part, 0)).toBeCloseTo(seen.stepMs, 6);
      }),
    );
  });
});
