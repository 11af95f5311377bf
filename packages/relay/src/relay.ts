/** Relays for a run in Node: a server for workers below, a connection to the coordinator above, rules in between. */

import { hostname } from 'node:os';
import {
  addressFileOptions,
  announceOptions,
  type CommandLine,
  checkKinds,
  fleetOptions,
  generalOptions,
  inGroup,
  joinKinds,
  joinOptions,
  type KindsOf,
  libraryKinds,
  name,
  oneOfKind,
  option,
  textLike,
  threads,
  tlsOptions,
  token,
  tokenOptions,
} from '@lockstep/command/options';
import { defaultHost, type ListenOptions, listenOptions, runOptions, tlsKind } from '@lockstep/prepare';
import { maxNameLength } from '@lockstep/protocol';
import { EventLines, type ListeningEvent, newSecret } from '@lockstep/record';
import { newSha256 } from '@lockstep/record/node';
import { bareHost, isLoopback, LocalWorkers, localAddress, openTls } from '@lockstep/server';
import { openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import {
  type AddressSource,
  type ComputeChoice,
  computeChoices,
  type FoundAddress,
  type JoinEnd,
  JoinedWorker,
  type JoinOptions,
  joinAddress,
  systemClock,
  type WorkerEvent,
} from '@lockstep/worker';
import { endOf, type JoinContext, openAddressBook, workerEvents } from '@lockstep/worker/internal';
import { Relay, type RelayCoreEvent } from './relay-core.ts';
import { openRelayServer, Upstream } from './relay-server.ts';

/** How a process relays for a run: it sends its own workers' results to the run's coordinator. */
export interface RelayOptions extends Pick<JoinOptions, 'name' | 'token' | 'fingerprint' | 'wait' | 'signal'> {
  /** Threads that add gradients, from 1 to 256; by default 1. */
  readonly threads?: number | undefined;
  /** Worker processes to start on this machine, from 0 to 256; by default 0. */
  readonly workers?: number | undefined;
  /** Backend of the workers started here; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Network settings for the relay's workers; the token is by default the run's. */
  readonly listen?: Pick<ListenOptions, 'host' | 'port' | 'token' | 'tls' | 'allowOrigins'> | undefined;
  /**
   * Address at which others reach the relay, such as a proxy's, for workers of a fleet; by default the one listened on.
   */
  readonly announce?: string | undefined;
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
  summary: 'Joins a coordinator and divides its work among other workers.',
  options: {
    url: { ...joinOptions.url, help: 'address that the coordinator, or another relay, printed' },
    ...listenOptions('workers'),
    ...tokenOptions(
      'secret of the run, which its workers need too',
      'the environment variable LOCKSTEP_TOKEN; otherwise the token in the address',
      'token',
    ),
    ...tlsOptions,
    ...fleetOptions,
    announce: { ...announceOptions.announce, library: 'announce' },
    ...addressFileOptions,
    ...inGroup('distribution', {
      name: option(name, 'name to show for this relay', { defaultText: "the machine's name", library: 'name' }),
      workers: option(runOptions.workers.kind, 'number of local worker processes to start', {
        default: 0,
        library: 'workers',
      }),
      backend: option(oneOfKind(computeChoices), 'backend of the local workers', {
        default: 'auto',
        library: 'backend',
      }),
      threads: option(threads, 'number of threads that add gradients', { default: 1, library: 'threads' }),
    }),
    wait: joinOptions.wait,
    ...generalOptions,
  },
} as const satisfies CommandLine;

const { 'listen.tls.cert': _cert, 'listen.tls.key': _key, ...asTyped } = libraryKinds(relayCommand.options);

const kinds = {
  ...asTyped,
  ...joinKinds,
  'listen.token': token,
  'listen.tls': tlsKind,
  'listen.allowOrigins': runOptions['allow-origin'].kind,
  announce: textLike('the address of a WebSocket without secrets', /^wss?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/, 'URL'),
} as const satisfies KindsOf<Omit<RelayOptions, 'listen'>> & KindsOf<NonNullable<RelayOptions['listen']>, 'listen.'>;

const defaults = relayCommand.options;

/**
 * Relays for a run until it is over: workers join it, and one gradient goes up for all of them.
 * Workers join as they would join the coordinator, in Node and in pages; other relays can join as well.
 * @param url the join address of the coordinator or of another relay, or a source that finds the address each time
 */
export function relay(url: string | AddressSource, options: RelayOptions = {}): JoinedWorker<RelayEvent> {
  return new JoinedWorker<RelayEvent>((context) => takePart(url, options, context), options?.signal);
}

type Context = JoinContext<RelayEvent>;

async function takePart(url: string | AddressSource, options: RelayOptions, context: Context): Promise<JoinEnd> {
  checkKinds(options, kinds);
  const { leaving, emit } = context;
  const { listen, announce, name = hostname().slice(0, maxNameLength), wait = false } = options;
  const over = new AbortController();
  const book = openAddressBook(url, options, leaving, over);
  const found = await findAbove(url, options, context);
  const runIsOver: JoinEnd = { type: 'finished', message: 'the run is over' };
  if (!found) return leaving.aborted ? { type: 'left', message: 'the relay leaves' } : runIsOver;
  const host = bareHost(listen?.host ?? defaultHost);
  const above = options.token ?? found.token;
  const token = listen?.token ?? above ?? (isLoopback(host) ? undefined : newSecret());
  const { backend } = await openBackend('auto', nodeThreads(options.threads ?? defaults.threads.default));
  const local = new LocalWorkers();
  let rules: Relay | undefined;
  const tls = await openTls(listen?.tls, host, undefined);
  const tell = (message: string): void => emit({ type: 'note', message });
  const server = await openRelayServer({
    ...{ host, port: listen?.port, token, allowedOrigins: listen?.allowOrigins ?? [], relay: () => rules },
    ...{ tls, tell },
    upstream: new Upstream(() => book.joined && { ...book.joined, token: book.token ?? above }),
  });
  emit(server.listening);
  const { addresses } = server.listening;
  local.use(
    {
      workers: options.workers ?? defaults.workers.default,
      backend: options.backend ?? 'auto',
      threads: 1,
      vectors: 'auto',
    },
    localAddress(addresses, token, tls),
    // The failure of local workers is no failure of the relay, since others may join.
    { log: tell, onAllFailed: () => {} },
  );
  const open = (): Relay =>
    new Relay({
      ...{ name, backend, clock: systemClock, random: Math.random, newResumeKey: newSecret, newHash: newSha256 },
      verifySalt: crypto.getRandomValues(new Uint32Array(1))[0]!,
      token: book.token ?? above,
      workerToken: token,
      // No token is sent: workers are redirected to other addresses only if their token is valid there.
      ...(token === above && {
        addresses: typeof url === 'string' ? [openAddress(url, options)] : [],
        address: announce ?? addresses.worker,
      }),
      waitForCoordinator: wait || typeof url !== 'string',
      connect: () => book.connect(),
      onWelcome: ({ addresses: told }) => book.learn(told ?? []),
      onRun(run) {
        server.use(run);
        emit({ type: 'open' });
      },
      onEvent: relayEvents(emit),
    });
  try {
    for (;;) {
      rules = open();
      const end = await endOfRelay(rules, leaving, over.signal);
      server.use(undefined);
      if (over.signal.aborted) return runIsOver;
      if (end.type !== 'finished' || !(await book.goesOn())) return end;
    }
  } finally {
    await local.stop();
    await server.close();
    await backend.close?.();
  }
}

/** The secret of the run is known only with its coordinator, which a source may have to wait for. */
async function findAbove(
  url: string | AddressSource,
  { token }: RelayOptions,
  { leaving, emit }: Context,
): Promise<FoundAddress | undefined> {
  if (typeof url === 'string') return joinAddress(url, { token });
  while (!leaving.aborted) {
    try {
      return await url.find();
    } catch (error) {
      emit({ type: 'unreached', message: (error as Error).message });
      await url.changed(leaving);
    }
  }
  return undefined;
}

/** The address without secrets. */
function openAddress(address: string, options: RelayOptions): string {
  const { url, fingerprint } = joinAddress(address, options);
  if (fingerprint === undefined) return url;
  const open = new URL(url);
  open.searchParams.set('fingerprint', fingerprint);
  return open.href;
}

async function endOfRelay(relay: Relay, leaving: AbortSignal, over: AbortSignal): Promise<JoinEnd> {
  const stop = AbortSignal.any([leaving, over]);
  const leave = (): void => relay.leave('the relay leaves');
  stop.addEventListener('abort', leave);
  if (stop.aborted) leave();
  return endOf(await relay.ended, leaving);
}

function relayEvents(emit: (event: RelayEvent) => void): (event: RelayCoreEvent) => void {
  const lines = new EventLines(systemClock.nowMs);
  const above = workerEvents((event) => {
    if (event.type !== 'opening' && event.type !== 'opened') emit(event);
  });
  return (event) => {
    switch (event.type) {
      case 'above':
        above(event.event);
        return;
      case 'below': {
        const message = lines.eventOf(event.event, event.state)?.message;
        if (message !== undefined) emit({ type: 'note', message });
        return;
      }
      case 'renewed':
        emit({ type: 'note', message: `${event.message}; another run begins for the workers here` });
        return;
      case 'idle':
        emit(event);
        return;
      default:
        event satisfies never;
    }
  };
}
