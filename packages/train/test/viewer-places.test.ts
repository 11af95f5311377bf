import type { ViewerRole } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { placeFor } from '../src/dashboard/viewers.ts';

const limits = { total: 4, perAddress: 3 };
const viewer = (address: string, role: ViewerRole = 'guest') => ({ role, address });

describe('a place to watch from', () => {
  it('is free while there are some, but not for more from one address than it may have', () => {
    const viewers = [viewer('a'), viewer('a'), viewer('a')];
    expect(placeFor(viewers, 'guest', 'b', limits)).toEqual({ type: 'free' });
    const message = 'the coordinator is full: no more than 3 viewers from one address may be connected';
    expect(placeFor(viewers, 'guest', 'a', limits)).toEqual({ type: 'full', message });
  });

  it('is taken from the oldest guest of the address that has most, for an owner or for an address that has fewer', () => {
    const oldest = viewer('a');
    const viewers = [viewer('b'), viewer('a', 'owner'), oldest, viewer('a')];
    expect(placeFor(viewers, 'owner', 'a', limits)).toEqual({ type: 'taken', from: oldest });
    expect(placeFor(viewers, 'guest', 'c', limits)).toEqual({ type: 'taken', from: oldest });
    // Replacing a viewer would only change which address has most.
    expect(placeFor(viewers, 'guest', 'b', limits)).toMatchObject({ type: 'full' });
  });

  it('is taken from no owner', () => {
    const viewers = Array.from({ length: 4 }, () => viewer('a', 'owner'));
    const message = 'the coordinator is full: no more than 4 viewers may be connected';
    expect(placeFor(viewers, 'owner', 'a', limits)).toEqual({ type: 'full', message });
  });
});
