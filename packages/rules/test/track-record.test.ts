import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRunState, updateConnection } from '../src/run-state.ts';
import type { ConnectionId } from '../src/state.ts';
import {
  boundedRate,
  closedForMs,
  measureLink,
  recordFailure,
  recordQuarantine,
  recordSuccess,
  speedAfter,
} from '../src/track-record.ts';
import { eventsOf, ScriptedCoordinator } from './scripted-coordinator.ts';

const anyMs = fc.double({ min: 0, max: 1e9, noNaN: true });

describe('a speed', () => {
  it('is bounded whatever a worker reports, and has the rate of before without a measurement', () => {
    fc.assert(
      fc.property(
        fc.record({ samplesPerMs: fc.double().map(boundedRate), overheadMs: anyMs }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.double(),
        anyMs,
        (before, samples, computeMs, totalMs) => {
          const { samplesPerMs, overheadMs } = speedAfter(before, { samples, computeMs, totalMs });
          expect(samplesPerMs).toBeGreaterThanOrEqual(0);
          expect(samplesPerMs).toBeLessThanOrEqual(1e6);
          expect(boundedRate(samplesPerMs)).toBe(samplesPerMs);
          if (!(computeMs > 0)) expect(samplesPerMs).toBe(before.samplesPerMs);
          expect(overheadMs).toBeGreaterThanOrEqual(0);
          expect(overheadMs).toBeLessThanOrEqual(Math.max(before.overheadMs, totalMs));
        },
      ),
    );
  });

  it('explains in the long run how long results take, whatever part of that the worker calls computing', () => {
    for (const computeMs of [1, 5, 20]) {
      let speed = { samplesPerMs: 100, overheadMs: 0 };
      for (let result = 0; result < 100; result++) speed = speedAfter(speed, { samples: 30, computeMs, totalMs: 20 });
      expect(speed.samplesPerMs).toBeCloseTo(30 / computeMs, 1);
      expect(30 / speed.samplesPerMs + speed.overheadMs).toBeCloseTo(20, 1);
    }
  });

  it('forgets one long stall', () => {
    let speed = speedAfter({ samplesPerMs: 10, overheadMs: 0 }, { samples: 10, computeMs: 1, totalMs: 5_000 });
    expect(speed.overheadMs).toBeGreaterThan(100);
    for (let result = 0; result < 60; result++) {
      speed = speedAfter(speed, { samples: 10, computeMs: 1, totalMs: 1 });
    }
    expect(speed.overheadMs).toBeLessThan(1);
  });
});

/** A newcomer's connection from an address, in a state that a test can change. */
function connectionFrom(address: string) {
  const coordinator = new ScriptedCoordinator();
  const id = coordinator.join({ isNewcomer: true });
  const run = createRunState(coordinator.setup, 0, { connections: coordinator.state.connections });
  const from = (other: string, at: ConnectionId = id) => {
    updateConnection(run, at, { address: other });
    return run.connections.get(at)!;
  };
  from(address);
  return { run, id, from, current: () => run.connections.get(id)! };
}

describe('a slow link is reported', () => {
  it.each([
    ['once, if results take long one after another', [900, 900, 900], 1],
    ['never, if the worker computes for as long', [900, 900, 900], 0, 800],
    ['never, if a frozen process has delayed one result', [2, 11_000, 2, 2, 2], 0],
    ['never, if it is slow only now and then', [900, 900, 2, 900, 900, 2], 0],
    ['once, however long it stays slow', [900, 900, 900, 900, 900, 900], 1],
  ])('%s', (_, times, reports, computeMs = 1) => {
    const { run, current } = connectionFrom('10.0.0.1');
    for (const totalMs of times) measureLink(run, current(), { totalMs, computeMs });
    expect(eventsOf(run.commands).filter(({ type }) => type === 'slowLink')).toHaveLength(reports);
  });
});

describe('a worker is proven', () => {
  it.each([
    [0, 1],
    [1, 2],
    [2, 4],
    [5, 32],
    [6, 64],
    [7, 64],
    [1_000, 64],
  ])('after %i failures of its address by %i confirmed results', (failures, needed) => {
    const { run, id, current } = connectionFrom('10.0.0.1');
    for (let failure = 0; failure < failures; failure++) recordFailure(run, current());
    for (let result = 1; result < needed; result++) recordSuccess(run, id);
    expect(current()).toMatchObject({ confirmed: needed - 1, isProven: false });
    recordSuccess(run, id);
    expect(current()).toMatchObject({ confirmed: needed, isProven: true });
  });

  it('for as long as it is connected, whatever its neighbors do', () => {
    const { run, id, current } = connectionFrom('10.0.0.1');
    recordSuccess(run, id);
    for (let failure = 0; failure < 6; failure++) recordFailure(run, current());
    recordSuccess(run, id);
    expect(current().isProven).toBe(true);
  });

  it('as soon as without failures if only another address has failed', () => {
    const { run, id, from, current } = connectionFrom('10.0.0.2');
    for (let failure = 0; failure < 6; failure++) recordFailure(run, current());
    from('10.0.0.1');
    recordSuccess(run, id);
    expect(current().isProven).toBe(true);
  });

  it('and no longer in doubt', () => {
    const { run, id, current } = connectionFrom('10.0.0.1');
    updateConnection(run, id, { isDoubted: true });
    recordSuccess(run, id);
    expect(current().isDoubted).toBe(false);
  });
});

describe('an address', () => {
  it('is closed for 5 s after three quarantines, twice as long after each further one, at most 5 minutes', () => {
    const { run, current } = connectionFrom('10.0.0.1');
    const closed = Array.from({ length: 10 }, () => {
      run.nowMs += 1_000;
      recordQuarantine(run, current());
      return closedForMs(run, current()) / 1_000;
    });
    expect(closed).toEqual([0, 0, 5, 10, 20, 40, 80, 160, 300, 300]);
    run.nowMs += 299_999;
    expect(closedForMs(run, current())).toBe(1);
    run.nowMs += 1;
    expect(closedForMs(run, current())).toBe(0);
  });

  it('counts each quarantine as a failure as well', () => {
    const { run, id, current } = connectionFrom('10.0.0.1');
    for (let time = 0; time < 4; time++) recordQuarantine(run, current());
    for (let result = 1; result < 2 ** 4; result++) recordSuccess(run, id);
    expect(current().isProven).toBe(false);
    recordSuccess(run, id);
    expect(current().isProven).toBe(true);
  });

  it('is not closed for failures alone', () => {
    const { run, current } = connectionFrom('10.0.0.1');
    for (let failure = 0; failure < 100; failure++) recordFailure(run, current());
    expect(closedForMs(run, current())).toBe(0);
  });

  it('of this process has no record', () => {
    const { run, id, current } = connectionFrom('');
    for (let time = 0; time < 5; time++) recordQuarantine(run, current());
    recordSuccess(run, id);
    expect([closedForMs(run, current()), current().isProven, run.addresses.size]).toEqual([0, true, 0]);
  });

  it('is forgotten when 4,096 others were noted after it, and not before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_095 }), (renewedAt) => {
        const { run, from } = connectionFrom('');
        const note = (address: string): void => recordFailure(run, from(address));
        const recordOf = (address: string) => run.addresses.get(address)?.failures;
        note('first');
        for (let other = 0; other < 4_095; other++) {
          // A new failure makes a record the newest.
          if (other === renewedAt) note('first');
          note(`10.0.${other >> 8}.${other & 255}`);
        }
        const isRenewed = renewedAt < 4_095;
        expect(recordOf('first')).toBe(isRenewed ? 2 : 1);
        expect(run.addresses.size).toBe(4_096);
        note('one more');
        expect(run.addresses.size).toBe(4_096);
        // The oldest record is forgotten: the renewed one stays unless it was renewed before all others.
        expect(recordOf('first')).toBe(isRenewed && renewedAt > 0 ? 2 : undefined);
      }),
      { numRuns: 5, seed: 1, examples: [[0], [1], [4_095]] },
    );
  });
});
