/** Where the relay finds the coordinator above it: at an address, or through a fleet. */
import { joinPlaceOf, requireFleet } from '@lockstep/command';
import { openFleet } from '@lockstep/fleet';
import { type AddressSource, joinAddress } from '@lockstep/worker';
import type { RelayCommandOptions } from './options.ts';

interface CoordinatorAbove {
  readonly url: string | AddressSource;
  /** For people, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws CommandFailure with exit code 2, or FleetError where the fleet cannot be reached */
export async function findCoordinator(
  options: RelayCommandOptions,
  token: string | undefined,
): Promise<CoordinatorAbove> {
  requireFleet(options, ['announce']);
  const { url, fleet: where } = joinPlaceOf(options);
  if (!where) return { url, place: joinAddress(url, {}).url, close: async () => {} };
  const fleet = await openFleet({ ...where, role: 'worker' });
  // No relay is found: two that join each other would belong to no run.
  return { url: fleet.finder({ token }), place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
}
