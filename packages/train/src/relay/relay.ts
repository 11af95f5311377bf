/**
 * Relays for a run in Node: a server for workers below, a connection to the coordinator above, and rules in between.
 */
import { hostname } from 'node:os';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import {
  type AddressSource,
  type FoundAddress,
  type JoinEnd,
  JoinedWorker,
  joinAddress,
  systemClock,
} from '@lockstep/worker';
import { type Connector, endOf, type JoinContext, openConnector, workerEvents } from '@lockstep/worker/internal';
import { EventLines } from '../events.ts';
import { newSha256 } from '../node/sha256.ts';
import { defaultHost } from '../options.ts';
import { bareHost, isLoopback } from '../site/addresses.ts';
import { LocalWorkers } from '../site/local-workers.ts';
import { openTls } from '../site/secrets.ts';
import { newSecret } from '../words.ts';
import { checkRelayOptions, type RelayEvent, type RelayOptions, relayCommand } from './options.ts';
import { Relay, type RelayEvent as RuleEvent } from './relay-core.ts';
import { RelayServer, Upstream } from './relay-server.ts';

const maxNameLength = 80;
const defaults = relayCommand.options;

/**
 * Relays for a run until it is over: workers join it, and one gradient goes up for all of them.
 * Workers join as they would join the coordinator, in Node and in pages; other relays can join as well.
 * @param url the join address of the coordinator or of another relay, or a source that finds the address each time
 */
export function relay(url: string | AddressSource, options: RelayOptions = {}): JoinedWorker<RelayEvent> {
  return new JoinedWorker<RelayEvent>((participation) => takePart(url, options, participation), options.signal);
}

/** Tokens that the relay sends above and expects from its workers; undefined for none. */
interface Tokens {
  readonly above: string | undefined;
  readonly below: string | undefined;
}

async function takePart(
  url: string | AddressSource,
  options: RelayOptions,
  participation: JoinContext<RelayEvent>,
): Promise<JoinEnd> {
  checkRelayOptions(options);
  const over = new AbortController();
  const connector = openConnector(url, options, participation.leaving, over);
  const above = await findAbove(url, options, participation);
  if (!above) return overOrLeft(participation.leaving);
  const tokens = tokensOf(above, options);
  const { backend } = await openBackend('auto', nodeThreads(options.threads ?? defaults.threads.default));
  const local = new LocalWorkers();
  let relay: Relay | undefined;
  const server = await openServer(options, tokens, connector, () => relay);
  participation.emit(server.listening);
  startLocal(local, server, options, participation);
  try {
    for (;;) {
      relay = await openRelay({ url, options, tokens, connector, backend, server, participation });
      const end = await endOfRelay(relay, participation.leaving, over.signal);
      server.use(undefined);
      if (over.signal.aborted) return { type: 'finished', message: 'the run is over' };
      if (end.type !== 'finished' || !(await connector.goesOn())) return end;
    }
  } finally {
    await local.stop();
    await server.close();
    await closeBackend(backend);
  }
}

/** The secret of the run is known only with its coordinator, which a source may have to wait for. */
async function findAbove(
  url: string | AddressSource,
  { token }: RelayOptions,
  { leaving, emit }: JoinContext<RelayEvent>,
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

/** How the relay ended if no coordinator was found. */
function overOrLeft({ aborted }: AbortSignal): JoinEnd {
  return aborted ? { type: 'left', message: 'the relay leaves' } : { type: 'finished', message: 'the run is over' };
}

function tokensOf(found: FoundAddress, { token, listen }: RelayOptions): Tokens {
  const above = token ?? found.token;
  const host = bareHost(listen?.host ?? defaultHost);
  return { above, below: listen?.token ?? above ?? (isLoopback(host) ? undefined : newSecret()) };
}

/** @throws ConfigurationError if it cannot listen */
async function openServer(
  { listen }: RelayOptions,
  { above, below: token }: Tokens,
  connector: Connector,
  relay: () => Relay | undefined,
): Promise<RelayServer> {
  const { port, tls, allowOrigins = [] } = listen ?? {};
  const host = bareHost(listen?.host ?? defaultHost);
  return RelayServer.open({
    ...{ host, port, token, allowOrigins, relay },
    tls: await openTls(tls, host, undefined),
    upstream: new Upstream(() => connector.address && { ...connector.address, token: connector.token ?? above }),
  });
}

function startLocal(
  local: LocalWorkers,
  { listening }: RelayServer,
  { workers = defaults.workers.default, backend = defaults.backend.default }: RelayOptions,
  { emit }: JoinContext<RelayEvent>,
): void {
  const { addresses, token, fingerprint } = listening;
  local.use(
    { count: workers, backend, threads: 1 },
    { url: addresses.local, token, fingerprint },
    // The failure of local workers is no failure of the relay, since others may join.
    { log: (message) => emit({ type: 'note', message }), onAllFailed: () => {} },
  );
}

interface Opening {
  readonly url: string | AddressSource;
  readonly options: RelayOptions;
  readonly tokens: Tokens;
  readonly connector: Connector;
  readonly backend: HostBackend;
  readonly server: RelayServer;
  readonly participation: JoinContext<RelayEvent>;
}

async function openRelay({ url, options, tokens, connector, backend, server, participation }: Opening): Promise<Relay> {
  const { name = hostname().slice(0, maxNameLength), wait = false } = options;
  const { emit } = participation;
  return new Relay({
    ...{ name, backend, clock: systemClock, random: Math.random, newResumeKey: newSecret, newHash: newSha256 },
    verifySalt: crypto.getRandomValues(new Uint32Array(1))[0]!,
    token: connector.token ?? tokens.above,
    workerToken: tokens.below,
    // No token is sent: workers are redirected to other addresses only if their token is valid there.
    ...(tokens.below === tokens.above && {
      addresses: typeof url === 'string' ? [openAddress(url, options)] : [],
      address: options.announce ?? server.listening.addresses.worker,
    }),
    waitForCoordinator: wait || typeof url !== 'string',
    connect: () => connector.connect(),
    onWelcome: ({ addresses }) => connector.learn(addresses),
    onRun(run) {
      server.use(run);
      emit({ type: 'open' });
    },
    onEvent: relayEvents(emit),
  });
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

async function closeBackend(backend: HostBackend & { close?: () => Promise<void> }): Promise<void> {
  await backend.close?.();
}

export function relayEvents(emit: (event: RelayEvent) => void): (event: RuleEvent) => void {
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
