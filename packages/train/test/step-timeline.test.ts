import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StepTiming } from '../src/record/step-timing.ts';
import { answered, asked, summed } from './traces.ts';

function setUp() {
  const timing = new StepTiming();
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
