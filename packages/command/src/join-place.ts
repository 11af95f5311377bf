/** The place of the run to join, and the errors of a process that could not take part. */
import { commandText } from './command-text.ts';
import type { fleetOptions } from './common-options.ts';
import { CommandFailure, usageFailure } from './failure.ts';
import type { ValuesOf } from './option.ts';
import { readOptionFile } from './option-files.ts';

type FleetValues = ValuesOf<typeof fleetOptions>;

/**
 * How to open the fleet; undefined if none is requested.
 * @throws CommandFailure with exit code 2 if a file cannot be read
 */
export function fleetOf(options: FleetValues) {
  const { fleet: servers, run, 'fleet-credentials': credentials, 'fleet-ca': ca } = options;
  if (servers === undefined) return undefined;
  const read = (option: string, file: string | undefined): string | undefined =>
    file === undefined ? undefined : readOptionFile(option, file);
  return { servers, run, credentials: read('fleet-credentials', credentials), ca: read('fleet-ca', ca) };
}

/**
 * The coordinator to join: at an address, or found in a fleet.
 * @throws CommandFailure with exit code 2 if neither is given
 */
export function joinPlaceOf(options: FleetValues & { readonly url: string | undefined }) {
  const { url } = options;
  const fleet = fleetOf(options);
  if (fleet) return { fleet };
  if (url !== undefined) return { url };
  throw usageFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070');
}

interface FleetFault {
  readonly option: string;
  readonly message: string;
  /** Whether the same options may succeed later. */
  readonly mayPass: boolean;
}

/** Why a fleet rejected this process; a supervisor may restart the program if the exit code is 1. */
export function fleetFailure({ option, message, mayPass }: FleetFault): CommandFailure {
  return new CommandFailure(`--${option}: ${message}`, mayPass ? 1 : 2);
}

interface JoinFailure {
  /** `unreachable`: no coordinator was reached; `refused`: turned away for good; `failed`: its computer failed. */
  readonly reason: 'unreachable' | 'refused' | 'failed';
  readonly message: string;
}

/** @param place address or fleet of the coordinator, without secrets */
export function joinFailure({ reason, message }: JoinFailure, place: string): CommandFailure {
  switch (reason) {
    case 'unreachable': {
      const advice = `start one with ${commandText('coordinator')}, or wait for it with --wait`;
      return new CommandFailure(`--url ${place}: ${message}; ${advice}`, 2);
    }
    case 'refused':
      return new CommandFailure(`the coordinator at ${place} refused: ${message}`, 2);
    case 'failed':
      return new CommandFailure(message, 1);
    default:
      return reason satisfies never;
  }
}
