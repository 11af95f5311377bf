/** Who may watch when there are more viewers than places: owners always, guests by how many their address has. */
import type { ViewerRole } from '@lockstep/protocol';
import type { Viewer } from './viewer.ts';

export interface ViewerLimits {
  readonly total: number;
  /** Fewer than `total`, so that no address takes every place. */
  readonly perAddress: number;
}

export const defaultViewerLimits: ViewerLimits = { total: 512, perAddress: 320 };

type Placed = Pick<Viewer, 'role' | 'address'>;

/** Room as it is, room once another viewer has given up its place, or none, with a message. */
export type Place<V> = { readonly type: 'free' } | { readonly type: 'taken'; readonly from: V } | Full;
export interface Full {
  readonly type: 'full';
  readonly message: string;
}

/** @param viewers those that have places, in the order in which they came */
export function placeFor<V extends Placed>(
  viewers: readonly V[],
  role: ViewerRole,
  address: string,
  { total, perAddress }: ViewerLimits,
): Place<V> {
  const guests = viewers.filter((viewer) => viewer.role === 'guest');
  const neighbors = guests.filter((viewer) => viewer.address === address);
  if (role === 'guest' && neighbors.length >= perAddress) {
    const message = `the coordinator is full: no more than ${perAddress} viewers from one address may be connected`;
    return { type: 'full', message };
  }
  if (viewers.length < total) return { type: 'free' };
  const crowd = largestCrowd(guests);
  if (crowd[0] && (role === 'owner' || crowd.length > neighbors.length + 1)) return { type: 'taken', from: crowd[0] };
  return { type: 'full', message: `the coordinator is full: no more than ${total} viewers may be connected` };
}

/** The guests of the address that has most. */
function largestCrowd<V extends Placed>(guests: readonly V[]): readonly V[] {
  const crowds = new Map<string, V[]>();
  for (const guest of guests) crowds.set(guest.address, [...(crowds.get(guest.address) ?? []), guest]);
  return [...crowds.values()].reduce((largest, crowd) => (crowd.length > largest.length ? crowd : largest), []);
}
