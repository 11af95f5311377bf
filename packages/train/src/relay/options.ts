/** The options of a relay, and its events. */
import {
  addressFileOptions,
  announceOptions,
  type Command,
  checkOptions,
  fleetOptions,
  generalOptions,
  inGroup,
  joinKinds,
  joinOptions,
  type KindsOf,
  libraryKinds,
  name,
  oneOf,
  option,
  textLike,
  threads,
  tlsOptions,
  token,
  tokenOptions,
} from '@lockstep/command/options';
import { type ComputeChoice, computeChoices, type WorkerEvent } from '@lockstep/worker';
import type { ListeningEvent } from '../events.ts';
import { listenOptions, runOptions, tlsKind } from '../option-table.ts';
import type { ListenOptions } from '../options.ts';

/** How a process relays for a run: it sends its own workers' results to the run's coordinator. */
export interface RelayOptions {
  /** Name in the run's tables; by default the machine's name. */
  readonly name?: string | undefined;
  /** The secret of the run, if the address lacks it. */
  readonly token?: string | undefined;
  /** SHA-256 in hex of the only certificate to trust, if the address lacks it. */
  readonly fingerprint?: string | undefined;
  /** Threads that add gradients, from 1 to 256; by default 1. */
  readonly threads?: number | undefined;
  /** Worker processes to start on this machine, from 0 to 256; by default 0. */
  readonly workers?: number | undefined;
  /** Backend of the workers started here; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Whether the relay waits for a coordinator that does not answer yet. */
  readonly wait?: boolean | undefined;
  /** Network settings for the relay's workers; the token is by default the run's. */
  readonly listen?: Pick<ListenOptions, 'host' | 'port' | 'token' | 'tls' | 'allowOrigins'> | undefined;
  /**
   * Address at which others reach the relay, such as a proxy's, for workers of a fleet; by default the one listened on.
   */
  readonly announce?: string | undefined;
  /** Makes the relay leave when aborted, as `leave` does. */
  readonly signal?: AbortSignal | undefined;
}

/** `message` is one line for people. */
export type RelayEvent =
  | ListeningEvent
  /** Events as a worker of the coordinator above: the work reported is that of the relay's own workers. */
  | Exclude<WorkerEvent, { type: 'opening' | 'opened' }>
  /** No worker is ready behind the relay, so it leaves the run above until there is one. */
  | { readonly type: 'idle' }
  /** From now on, the relay's workers may join. */
  | { readonly type: 'open' }
  /** A message about the relay's workers. */
  | { readonly type: 'note'; readonly message: string };

/** The command line of a relay. */
export const relayCommand = {
  name: 'relay',
  args: '--url ws://HOST:PORT [options]',
  summary:
    'Joins a coordinator as a worker, takes workers of its own, and sends one gradient for all that they compute.',
  options: {
    url: { ...joinOptions.url, help: 'address of the coordinator, or of another relay, as it prints it' },
    ...listenOptions('workers'),
    ...tokenOptions(
      'secret of the run, which its workers need as well',
      'LOCKSTEP_TOKEN of the environment; else that of the address',
      'token',
    ),
    ...tlsOptions,
    ...fleetOptions,
    announce: { ...announceOptions.announce, library: 'announce' },
    ...addressFileOptions,
    ...inGroup('distribution', {
      name: option(name, 'name of this relay in the run', { defaultText: "the machine's name", library: 'name' }),
      workers: option(runOptions.workers.kind, 'workers to start on this machine', { default: 0, library: 'workers' }),
      backend: option(oneOf(computeChoices), 'backend of the workers started here', {
        default: 'auto',
        library: 'backend',
      }),
      threads: option(threads, 'threads that add gradients', { default: 1, library: 'threads' }),
    }),
    wait: joinOptions.wait,
    ...generalOptions,
  },
} as const satisfies Command;

const { 'listen.tls.cert': _cert, 'listen.tls.key': _key, ...asTyped } = libraryKinds(relayCommand.options);

const kinds = {
  ...asTyped,
  ...joinKinds,
  'listen.token': token,
  'listen.tls': tlsKind,
  'listen.allowOrigins': runOptions['allow-origin'].kind,
  announce: textLike('the address of a WebSocket without secrets', /^wss?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/, 'URL'),
} as const satisfies KindsOf<Omit<RelayOptions, 'listen'>> & KindsOf<NonNullable<RelayOptions['listen']>, 'listen.'>;

/** @throws ConfigurationError if an option of `relay` is unknown, or its value not of its kind */
export function checkRelayOptions(options: object): void {
  checkOptions(options, kinds);
}
