/** The options of a worker: its command line, those of `join` in Node, and what it can compute with. */
import {
  type CommandLine,
  checkKinds,
  configurationError,
  fleetOptions,
  generalOptions,
  inGroup,
  joinKinds,
  joinOptions,
  libraryKinds,
  name,
  oneOfKind,
  option,
  optionName,
  threads,
  token as tokenKind,
  tokenOptions,
  vectors,
  vectorsDefault,
} from '@lockstep/command/options';
import { type BackendChoice, backendNames, hostBackendNames } from '@lockstep/tensor';
/** A backend by name, or `auto` for the fastest one with exact bits. */
export type ComputeChoice = BackendChoice | 'tfjs-node';

/** Bits of the vectors of kernels. */
export type VectorChoice = 'auto' | '128' | '256';

/** All valid choices. */
export const computeChoices: readonly ComputeChoice[] = ['auto', ...backendNames, 'tfjs-node'];

/** Whether a choice computes in this thread's memory and opens at once; others can take a minute. */
export function isHostChoice(choice: ComputeChoice): boolean {
  return choice === 'auto' || hostBackendNames.some((name) => name === choice);
}

/** Choices that compute on several threads in one memory. */
const threadedChoices: readonly ComputeChoice[] = ['auto', 'cpu'];

/**
 * Requires a single thread unless the choice supports several.
 * @throws ConfigurationError if the choice cannot compute on this number of threads
 */
export function requireThreads(choice: ComputeChoice, threads: number): void {
  if (threads === 1 || threadedChoices.includes(choice)) return;
  // Two threads that enter TensorFlow at the same moment may deadlock.
  const why = choice === 'tfjs-node' ? 'whose library runs in one thread per process' : 'which uses one thread';
  const backend = optionName('backend', choice);
  throw configurationError`${optionName('threads')}: expected 1 with ${backend}, ${why}, got ${threads}; start more workers instead`;
}

/** Default number of threads for each of `processes` processes that compute on this machine. */
export function defaultThreads(choice: ComputeChoice, processes: number, cores: number): number {
  return threadedChoices.includes(choice) ? Math.max(1, Math.floor(cores / Math.max(1, processes))) : 1;
}

/** The command line of a worker. */
export const workerCommand = {
  name: 'worker',
  args: '--url ws://HOST:PORT [options]',
  summary: 'Joins a coordinator and computes gradients for it. Reconnects automatically.',
  options: {
    url: joinOptions.url,
    ...inGroup('distribution', {
      name: option(name, 'name to show for this worker', { defaultText: "the machine's name", library: 'name' }),
      backend: option(oneOfKind(computeChoices), 'backend that computes', { default: 'auto', library: 'backend' }),
      threads: option(threads, 'number of compute threads', { default: 1, library: 'threads' }),
      vectors: option(vectors, 'bits of the vectors that compute', { default: 'auto', defaultText: vectorsDefault }),
    }),
    ...tokenOptions(
      'secret of the run, if the address does not contain it',
      'the environment variable LOCKSTEP_TOKEN',
      'token',
    ),
    ...fleetOptions,
    wait: joinOptions.wait,
    ...generalOptions,
  },
} as const satisfies CommandLine;

/** The kinds of the options of `join`. */
export const kindsOfJoin = { ...libraryKinds(workerCommand.options), ...joinKinds } as const;

/** Address of a coordinator and the secrets for joining it. */
export interface FoundAddress {
  /** Address without secrets, such as `ws://127.0.0.1:7070`. */
  readonly url: string;
  readonly token?: string | undefined;
  /** SHA-256 in hex of the only certificate to trust. */
  readonly fingerprint?: string | undefined;
}

export type ParsedAddress = Required<FoundAddress>;

export type JoinSecrets = Omit<FoundAddress, 'url'>;

/**
 * Splits the address of a socket or a page. A page's address has the token in its fragment:
 * `http://HOST:PORT/#join&token=…`. Secrets in `given` take precedence over the address; an empty one counts as omitted.
 * @throws ConfigurationError if the address is neither, or no run can have the token
 */
export function joinAddress(address: string, given: JoinSecrets): ParsedAddress {
  if (typeof address !== 'string' || !/^(ws|http)s?:\/\/[^/]/.test(address) || !URL.canParse(address)) {
    throw configurationError`${optionName('url')}: expected an address like ws://127.0.0.1:7070, got ${String(address)}`;
  }
  const url = new URL(address.replace(/^http/, 'ws'));
  const fragment = new URLSearchParams(url.hash.slice(1));
  const secret = (name: string): string | undefined => url.searchParams.get(name) || fragment.get(name) || undefined;
  const token = given.token ?? secret('token');
  checkKinds({ token }, { token: tokenKind });
  const fingerprint = given.fingerprint ?? secret('fingerprint');
  url.searchParams.delete('token');
  url.searchParams.delete('fingerprint');
  url.hash = '';
  return { url: url.href, token, fingerprint: url.protocol === 'wss:' ? fingerprint : undefined };
}
