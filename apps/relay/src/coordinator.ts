/** Where the relay finds the coordinator above it: at an address, or through a fleet. */
import { CommandFailure, fleetOf, requireFleet, usageFailure } from '@lockstep/command';
import { FleetError, openFleet } from '@lockstep/fleet';
import { type AddressSource, joinAddress } from '@lockstep/worker';
import type { RelayCommandOptions } from './options.ts';

export interface CoordinatorAbove {
  readonly url: string | AddressSource;
  /** For people, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws CommandFailure with exit code 2 where neither is given, or the fleet cannot be reached */
export async function findCoordinator(
  options: RelayCommandOptions,
  token: string | undefined,
): Promise<CoordinatorAbove> {
  const { url } = options;
  requireFleet(options, ['announce']);
  const where = fleetOf(options);
  if (where && url !== undefined) {
    throw usageFailure('--url: expected without --fleet, which finds the coordinator');
  }
  if (!where) {
    if (url !== undefined) return { url, place: joinAddress(url, {}).url, close: async () => {} };
    throw new CommandFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070', 2);
  }
  try {
    const fleet = await openFleet({ ...where, role: 'worker' });
    // No relay is found: two that join each other would belong to no run.
    return { url: fleet.finder({ token }), place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
  } catch (error) {
    if (error instanceof FleetError) throw usageFailure(`--${error.option}: ${error.message}`);
    throw error;
  }
}
