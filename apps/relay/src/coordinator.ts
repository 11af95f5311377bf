/** Finds the coordinator above the relay: at an address, or through a fleet. */
import { joinPlaceOf, type ValuesOf } from '@lockstep/command';
import { openFleet } from '@lockstep/fleet';
import type { relayCommand } from '@lockstep/train/command-line';
import { type AddressSource, joinAddress } from '@lockstep/worker';

export type RelayValues = ValuesOf<typeof relayCommand.options>;

interface CoordinatorAbove {
  readonly url: string | AddressSource;
  /** Description for people, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws CommandFailure with exit code 2, or FleetError if the fleet cannot be reached */
export async function findCoordinator(options: RelayValues, token: string | undefined): Promise<CoordinatorAbove> {
  const { url, fleet: where } = joinPlaceOf(options);
  if (!where) return { url, place: joinAddress(url, {}).url, close: async () => {} };
  const fleet = await openFleet({ ...where, role: 'worker' });
  // The finder skips relays: two relays that join each other would belong to no run.
  return { url: fleet.finder({ token }), place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
}
