/** The options by which coordinators and workers find each other in a fleet. */
import { CommandFailure, usageFailure } from './failure.ts';
import { coordinatorUrl, textOption, type ValuesOf, withDefaultText } from './option.ts';
import { readOptionFile } from './option-files.ts';

export const fleetOptions = {
  fleet: textOption('URL,…', 'NATS servers of a fleet, like nats://HOST:4222, or tls://, with commas between them'),
  run: withDefaultText(textOption('NAME', 'the run of the fleet to take part in'), 'default'),
  'fleet-credentials': textOption('FILE', 'with --fleet: a .creds file, an nkey seed, or a file with user:password'),
  'fleet-ca': textOption('FILE.pem', "with --fleet: the authority that has signed the servers' certificates"),
};

/** Of what listens, and can be found through a fleet. */
export const announceOptions = {
  announce: coordinatorUrl('with --fleet: the address to join by, if it is not the one listened on', 'socket'),
};

export type FleetOptionValues = ValuesOf<typeof fleetOptions>;

/**
 * How to open the fleet; undefined where none is asked for.
 * @throws CommandFailure with exit code 2 where options need one, or a file cannot be read
 */
export function fleetOf(options: FleetOptionValues) {
  const { fleet: servers, run, 'fleet-credentials': credentials, 'fleet-ca': ca } = options;
  requireFleet(options, ['run', 'fleet-credentials', 'fleet-ca']);
  if (servers === undefined) return undefined;
  const read = (option: string, file: string | undefined): string | undefined =>
    file === undefined ? undefined : readOptionFile(option, file);
  return { servers, run, credentials: read('fleet-credentials', credentials), ca: read('fleet-ca', ca) };
}

/**
 * Where to look for the coordinator to join: at an address, or in a fleet.
 * @throws CommandFailure with exit code 2 where neither is given, or both
 */
export function joinPlaceOf(options: FleetOptionValues & { readonly url: string | undefined }) {
  const { url } = options;
  const fleet = fleetOf(options);
  if (!fleet) {
    if (url !== undefined) return { url };
    throw usageFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070');
  }
  if (url !== undefined) throw usageFailure('--url: expected without --fleet, which finds the coordinator');
  return { fleet };
}

interface FleetFault {
  readonly option: string;
  readonly message: string;
  /** Whether the same options may work later. */
  readonly mayPass: boolean;
}

/** Why a fleet did not take this process in; what starts programs again may do so where the exit code is 1. */
export function fleetFailure({ option, message, mayPass }: FleetFault): CommandFailure {
  return new CommandFailure(`--${option}: ${message}`, mayPass ? 1 : 2);
}

/** @throws CommandFailure with exit code 2 where one of these options is given without `--fleet` */
export function requireFleet<Values extends { readonly fleet: string | undefined }>(
  options: Values,
  names: readonly (keyof Values & string)[],
): void {
  const given = names.find((name) => options[name] !== undefined && options[name] !== false);
  if (given === undefined || options.fleet !== undefined) return;
  throw usageFailure(`--${given}: expected with --fleet URL, whose option it is`);
}
