/** How a worker or a relay takes part in a run: it finds the coordinator, follows the events, and ends as a program. */
import { hostname } from 'node:os';
import type { fleetOptions, tokenOptions } from './common-options.ts';
import type { ValuesOf } from './option.ts';
import { readOptionFile, tokenFrom } from './option-files.ts';
import { CommandFailure, commandText, interruptedCode, onInterruption, shellWord, usageFailure } from './program.ts';

type FleetValues = ValuesOf<typeof fleetOptions>;
type FleetPlace = NonNullable<ReturnType<typeof fleetOf>>;

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

interface JoinValues extends FleetValues, ValuesOf<ReturnType<typeof tokenOptions<string>>> {
  readonly url: string | undefined;
  readonly name: string | undefined;
}

/** A fleet through which coordinators are found. */
interface Fleet<Source> {
  readonly place: string;
  readonly source: Source;
  close(): Promise<void>;
}

interface Participant<Event> extends AsyncIterable<Event> {
  readonly done: Promise<{ readonly type: string; readonly message: string }>;
}

/** Differences between the programs that join a run. */
interface Joining<Event, Source> {
  readonly program: 'worker' | 'relay';
  readonly options: JoinValues;
  readonly openFleet: (place: FleetPlace, token: string | undefined) => Promise<Fleet<Source>>;
  /** The address of a coordinator without secrets. */
  readonly addressOf: (url: string) => string;
  readonly join: (
    coordinator: string | Source,
    options: { readonly token: string | undefined; readonly signal: AbortSignal },
  ) => Participant<Event>;
  /** An event in words. */
  readonly linesOf: (event: Event) => readonly string[];
}

/**
 * Takes part in a run until it ends or a signal arrives.
 * @returns the exit code
 * @throws CommandFailure with exit code 2 if no coordinator is named or none lets this process in
 */
export async function takePart<Event, Source>(joining: Joining<Event, Source>): Promise<number> {
  const { program, options } = joining;
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  const { coordinator, place, close } = await findCoordinator(joining, token);
  const signal = onInterruption();
  const log = (message: string): void =>
    void process.stderr.write(`${program} ${options.name ?? hostname()}: ${message}\n`);
  try {
    const participant = joining.join(coordinator, { token, signal });
    for await (const event of participant) for (const line of joining.linesOf(event)) log(line);
    const { type, message } = await participant.done;
    if (signal.aborted) return interruptedCode;
    if (type === 'finished') log(message);
    return 0;
  } catch (error) {
    throw isJoinError(error) ? joinFailure(error, place) : error;
  } finally {
    await close();
  }
}

/** The coordinator at an address or in a fleet, and its place in words, without secrets. */
async function findCoordinator<Event, Source>(joining: Joining<Event, Source>, token: string | undefined) {
  const { options, openFleet, addressOf } = joining;
  const where = fleetOf(options);
  if (where) {
    const fleet = await openFleet(where, token);
    return { coordinator: fleet.source, place: `the fleet at ${fleet.place}`, close: () => fleet.close() };
  }
  const { url } = options;
  if (url !== undefined) return { coordinator: url, place: addressOf(url), close: async () => {} };
  throw usageFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070');
}

/** The error of `@lockstep/worker`. */
interface JoinError extends Error {
  /** `unreachable`: no coordinator was reached; `refused`: turned away for good; `failed`: its computer failed. */
  readonly reason: 'unreachable' | 'refused' | 'failed';
}

/** By its name: this package is below the worker's. */
function isJoinError(error: unknown): error is JoinError {
  return error instanceof Error && error.name === 'JoinError';
}

function joinFailure({ reason, message, cause }: JoinError, place: string): CommandFailure {
  switch (reason) {
    case 'unreachable': {
      // Other faults are those of the address, which nothing that is started later mends.
      const isAbsent = (cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
      const advice = isAbsent ? `; start a coordinator with ${commandText('coordinator')}, or use --wait` : '';
      return new CommandFailure(`--url ${place}: ${message}${advice}`, 2);
    }
    case 'refused':
      return new CommandFailure(`the coordinator at ${place} refused: ${message}`, 2);
    case 'failed':
      return new CommandFailure(message, 1);
    default:
      return reason satisfies never;
  }
}

/** Says that a server listens on another port than the default one. */
export function portLines({ port, wantedPort }: { readonly port: number; readonly wantedPort: number }): string[] {
  return wantedPort === 0 || port === wantedPort ? [] : [`Port ${wantedPort} is in use, listening on ${port}.`];
}

interface Server {
  readonly addresses: { readonly worker: string; readonly page: string };
  readonly token: string | undefined;
}

/**
 * How workers join a server, with its secrets. The token is an environment variable, which stands in no list of
 * processes.
 */
export function joinLines({ addresses, token }: Server): string[] {
  const secret = token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
  return [
    `Join with: ${secret}${commandText('worker', `--url ${shellWord(addresses.worker)}`)}`,
    `Join in a browser: ${addresses.page}`,
  ];
}
