import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { draftOf, updateConnection } from '../../src/coordinator/draft.ts';
import { isRefused, recordFailure, recordQuarantine, recordSuccess } from '../../src/coordinator/reputation.ts';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

/** A connection that nothing is known of yet, from an address, and what becomes of it. */
function connectionFrom(address: string) {
  const coordinator = new ScriptedCoordinator();
  const id = coordinator.join({ isNewcomer: true });
  const draft = draftOf(coordinator.state, 0);
  const from = (other: string, at: ConnectionId = id) => {
    updateConnection(draft, at, { address: other });
    return draft.connections.get(at)!;
  };
  from(address);
  return { draft, id, from, current: () => draft.connections.get(id)! };
}

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
    const { draft, id, current } = connectionFrom('10.0.0.1');
    for (let failure = 0; failure < failures; failure++) recordFailure(draft, current());
    for (let result = 1; result < needed; result++) recordSuccess(draft, id);
    expect(current()).toMatchObject({ confirmed: needed - 1, isProven: false });
    recordSuccess(draft, id);
    expect(current()).toMatchObject({ confirmed: needed, isProven: true });
  });

  it('for as long as it is connected, whatever its neighbors do', () => {
    const { draft, id, current } = connectionFrom('10.0.0.1');
    recordSuccess(draft, id);
    for (let failure = 0; failure < 6; failure++) recordFailure(draft, current());
    recordSuccess(draft, id);
    expect(current().isProven).toBe(true);
  });

  it('as soon as without failures where the failures were those of another address', () => {
    const { draft, id, from, current } = connectionFrom('10.0.0.2');
    for (let failure = 0; failure < 6; failure++) recordFailure(draft, current());
    from('10.0.0.1');
    recordSuccess(draft, id);
    expect(current().isProven).toBe(true);
  });

  it('and no longer in doubt', () => {
    const { draft, id, current } = connectionFrom('10.0.0.1');
    updateConnection(draft, id, { isDoubted: true });
    recordSuccess(draft, id);
    expect(current().isDoubted).toBe(false);
  });
});

describe('an address', () => {
  it('is refused after three quarantines, each of which counts as a failure too', () => {
    const { draft, id, current } = connectionFrom('10.0.0.1');
    const refused = [1, 2, 3, 4].map(() => {
      recordQuarantine(draft, current());
      return isRefused(draft, current());
    });
    expect(refused).toEqual([false, false, true, true]);
    for (let result = 1; result < 2 ** 4; result++) recordSuccess(draft, id);
    expect(current().isProven).toBe(false);
    recordSuccess(draft, id);
    expect(current().isProven).toBe(true);
  });

  it('is not refused for failures alone', () => {
    const { draft, current } = connectionFrom('10.0.0.1');
    for (let failure = 0; failure < 100; failure++) recordFailure(draft, current());
    expect(isRefused(draft, current())).toBe(false);
  });

  it('that is that of this process has no record', () => {
    const { draft, id, current } = connectionFrom('');
    for (let time = 0; time < 5; time++) recordQuarantine(draft, current());
    recordSuccess(draft, id);
    expect([isRefused(draft, current()), current().isProven, draft.addresses.size]).toEqual([false, true, 0]);
  });

  it('is forgotten when 4,096 others were noted after it, and not before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_095 }), (renewedAt) => {
        const { draft, from } = connectionFrom('');
        const note = (address: string): void => recordFailure(draft, from(address));
        const recordOf = (address: string) => draft.addresses.get(address)?.failures;
        note('first');
        for (let other = 0; other < 4_095; other++) {
          // A new failure makes a record the newest one.
          if (other === renewedAt) note('first');
          note(`10.0.${other >> 8}.${other & 255}`);
        }
        const isRenewed = renewedAt < 4_095;
        expect(recordOf('first')).toBe(isRenewed ? 2 : 1);
        expect(draft.addresses.size).toBe(4_096);
        note('one more');
        expect(draft.addresses.size).toBe(4_096);
        // The oldest goes: the renewed one stays unless it was renewed before all others.
        expect(recordOf('first')).toBe(isRenewed && renewedAt > 0 ? 2 : undefined);
      }),
      { numRuns: 5, seed: 1, examples: [[0], [1], [4_095]] },
    );
  });
});
