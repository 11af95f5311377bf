/** Where the worker finds its coordinator: at an address, or through a fleet. */
import { CommandFailure, fleetOf, usageFailure } from '@lockstep/command';
import { FleetError, openFleet } from '@lockstep/fleet';
import { type AddressSource, joinAddress } from '@lockstep/worker';
import type { WorkerOptions } from './options.ts';

export interface FoundCoordinator {
  readonly url: string | AddressSource;
  /** What the address had beside it. */
  readonly secrets: { readonly token?: string | undefined; readonly fingerprint?: string | undefined };
  /** For people. */
  readonly place: string;
  close(): Promise<void>;
}

/** @throws CommandFailure with exit code 2 where neither is given, or the fleet cannot be reached */
export async function findCoordinator(options: WorkerOptions, token: string | undefined): Promise<FoundCoordinator> {
  const where = fleetOf(options);
  if (where && options.url !== undefined) {
    throw usageFailure('--url: expected without --fleet, which finds the coordinator');
  }
  if (where) return findInFleet(where, token);
  if (options.url === undefined) {
    throw new CommandFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070', 2);
  }
  const { url, ...secrets } = joinAddress(options.url, { token });
  return { url, secrets, place: url, close: async () => {} };
}

async function findInFleet(
  where: NonNullable<ReturnType<typeof fleetOf>>,
  token: string | undefined,
): Promise<FoundCoordinator> {
  try {
    const fleet = await openFleet({ ...where, role: 'worker' });
    const url = fleet.finder({ token, random: Math.random });
    return { url, secrets: {}, place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
  } catch (error) {
    if (error instanceof FleetError) throw usageFailure(`--${error.option}: ${error.message}`);
    throw error;
  }
}
