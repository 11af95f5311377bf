/** Finds the worker's coordinator: at an address, or through a fleet. */
import { joinPlaceOf, type ValuesOf } from '@lockstep/command';
import { openFleet } from '@lockstep/fleet';
import { type AddressSource, joinAddress } from '@lockstep/worker';
import type { workerCommand } from '@lockstep/worker/options';

type WorkerValues = ValuesOf<typeof workerCommand.options>;

interface FoundCoordinator {
  readonly url: string | AddressSource;
  /** Description for people, without secrets. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws CommandFailure with exit code 2, or FleetError if the fleet cannot be reached */
export async function findCoordinator(options: WorkerValues, token: string | undefined): Promise<FoundCoordinator> {
  const { url, fleet: where } = joinPlaceOf(options);
  if (!where) return { url, place: joinAddress(url, {}).url, close: async () => {} };
  const fleet = await openFleet({ ...where, role: 'worker' });
  const source = fleet.finder({ token, random: Math.random });
  return { url: source, place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
}
