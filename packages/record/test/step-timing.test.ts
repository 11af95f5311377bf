import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StepTiming } from '../src/step-timing.ts';

function setUp() {
  const timing = new StepTiming();
  timing.isWatched = true;
  return {
    timing,
    asked: (workerId: string, step: number, atMs: number) => timing.trace({ type: 'asked', workerId, step, atMs }),
    answered(workerId: string, step: number, atMs: number, computeMs: number, turnaroundMs: number | undefined) {
      const times = { arrivedAtMs: atMs, atMs, computeMs, turnaroundMs };
      timing.trace({ type: 'answered', workerId, step, ...times });
    },
    summed: (step: number, atMs: number) => timing.trace({ type: 'whole', step, atMs }),
  };
}

const time = fc.double({ min: 0, max: 1e4, noNaN: true });
const claim = fc.oneof(time, fc.constantFrom(0, 1e300, Number.MAX_VALUE));
const claims = { computeMs: claim, turnaroundMs: fc.option(claim, { nil: undefined }) };

describe('the timeline of a step', () => {
  it('shows what each worker spends it on', () => {
    const { timing, asked, answered, summed } = setUp();
    expect(timing.timeline).toBeUndefined();
    asked('a', 0, 100);
    asked('b', 0, 101);
    answered('a', 0, 130, 18, 20);
    answered('b', 0, 171, 50, 50);
    summed(0, 171);
    const { rows, ...step } = timing.timeline!;
    expect(step).toEqual({ type: 'timeline', step: 0, durationMs: 71 });
    const shown = rows.map(({ workerId, spans }) => [
      workerId,
      spans.map(({ kind, fromMs, toMs }) => `${kind} ${fromMs} to ${toMs}`),
    ]);
    expect(shown).toEqual([
      ['a', ['receive 0 to 5', 'wait 5 to 7', 'compute 7 to 25', 'send 25 to 30', 'wait 30 to 71']],
      ['b', ['wait 0 to 1', 'receive 1 to 11', 'compute 11 to 61', 'send 61 to 71']],
    ]);
    expect(timing.averagesOf('a')).toMatchObject({ computeMs: 18, sendMs: 10, waitMs: 43 });
    expect(timing.averagesOf('unknown')).toEqual({ computeMs: 0, sendMs: 0, waitMs: 0 });
  });

  it('stays within the step, in order and bounded, whatever workers claim', () => {
    const type = fc.constantFrom('asked', 'answered', 'whole');
    const event = fc.record({ type, worker: fc.nat(90), step: fc.nat(2), wait: time, ...claims });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 300, size: 'max' }), (events) => {
        const { timing, asked, answered, summed } = setUp();
        let atMs = 0;
        for (const { type: kind, worker, step, wait, computeMs, turnaroundMs } of events) {
          atMs += wait / 1000;
          if (kind === 'asked') asked(`w${worker}`, step, atMs);
          else if (kind === 'whole') summed(step, atMs);
          else answered(`w${worker}`, step, atMs, computeMs, turnaroundMs);
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

describe('step times', () => {
  it('are medians of the steps', () => {
    const { timing, asked, answered, summed } = setUp();
    let atMs = 0;
    const times: number[] = [];
    timing.stepped(atMs);
    for (const [step, ms] of [10, 40, 20, 70, 30, 90].entries()) {
      asked('a', step, atMs);
      answered('a', step, atMs + 5, 5, 5);
      summed(step, atMs + 5);
      atMs += ms;
      timing.stepped(atMs);
      times.push(timing.times()!.stepMs);
    }
    expect(times).toEqual([10, 25, 20, 30, 30, 35]);
  });

  it('follow the mean worker through a step, then the last answer, the sum and the optimizer', () => {
    const { timing, asked, answered, summed } = setUp();
    timing.stepped(100);
    asked('a', 1, 102);
    asked('b', 1, 104);
    answered('a', 1, 120, 10, 12);
    answered('b', 1, 130, 20, 24);
    summed(1, 133);
    timing.stepped(137);
    // Pack: the mean request comes after 3 ms, and the mean worker held its shard for 3 ms without computing. Send:
    // 22 ms from request to arrival on average, of which 18 were at the worker.
    const parts = { packMs: 6, sendMs: 4, computeMs: 15, waitMs: 5, reduceMs: 3, optimizerMs: 4 };
    expect(timing.times()).toEqual({ steps: 1, stepMs: 37, ...parts });
  });

  it('count a worker with two shards once, and late answers of earlier steps not at all', () => {
    const { timing, asked, answered, summed } = setUp();
    timing.stepped(0);
    asked('a', 1, 1);
    asked('a', 1, 2);
    answered('late', 0, 3, 3, 3);
    answered('a', 1, 11, 4, 5);
    answered('a', 1, 17, 5, 11);
    summed(1, 18);
    timing.stepped(20);
    const parts = { packMs: 3, sendMs: 5, computeMs: 9, waitMs: 0, reduceMs: 1, optimizerMs: 2 };
    expect(timing.times()).toMatchObject(parts);
  });

  it('are not known before the second step', () => {
    const { timing, asked, answered, summed } = setUp();
    expect(timing.times()).toBeUndefined();
    asked('a', 0, 1);
    answered('a', 0, 5, 1, 1);
    summed(0, 6);
    timing.stepped(7);
    expect(timing.times()).toBeUndefined();
  });

  it('add up to the step and are never negative, whatever workers claim', () => {
    const workers = fc.array(fc.record({ askedAfter: time, outFor: time, ...claims }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(workers, time, time, (all, sumMs, lastlyMs) => {
        const { timing, asked, answered, summed } = setUp();
        timing.stepped(50);
        for (const [index, { askedAfter, outFor, computeMs, turnaroundMs }] of all.entries()) {
          asked(`w${index}`, 1, 50 + askedAfter);
          answered(`w${index}`, 1, 50 + askedAfter + outFor, computeMs, turnaroundMs);
        }
        const lastMs = Math.max(...all.map(({ askedAfter, outFor }) => 50 + askedAfter + outFor));
        summed(1, lastMs + sumMs);
        timing.stepped(lastMs + sumMs + lastlyMs);
        const { stepMs, packMs, sendMs, computeMs, waitMs, reduceMs, optimizerMs } = timing.times()!;
        const parts = [packMs, sendMs, computeMs, waitMs, reduceMs, optimizerMs];
        for (const part of parts) expect(part).toBeGreaterThanOrEqual(-1e-9);
        expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(stepMs, 6);
      }),
    );
  });
});
