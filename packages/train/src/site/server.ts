/**
 * Servers whose handlers change while their port stays: our own or the caller's; and a site's server with its tokens.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { configurationError, type NamedOption, named, systemClock } from '@lockstep/worker';
import { WaitingWorkers } from '../coordinator/waiting-workers.ts';
import { WatchPermission } from '../dashboard/permission.ts';
import type { ListeningEvent } from '../events.ts';
import { defaultPort } from '../options.ts';
import type { NetworkSettings } from '../prepared.ts';
import { type Addresses, addressesOf } from './addresses.ts';
import { Connections } from './connections.ts';
import { closeTimeoutMs } from './guarded-transport.ts';
import { Guesses, TurnedAwayCounter } from './limiter.ts';
import { type Answer, leaveBody, sendText } from './pages.ts';
import type { Tls } from './secrets.ts';
import { type Door, rejectUpgrade } from './sockets.ts';

export interface AttachOptions {
  readonly server: Server;
  /** Prefix of the run's paths, such as `/lockstep`; empty for none. */
  readonly path: string;
  readonly turnedAway: TurnedAwayCounter;
}

/** Address and port of a server. @throws ConfigurationError if it is not listening, or not on a port */
export function portOf(server: Server): { readonly address: string; readonly port: number } {
  const place = server.address();
  if (place === null || typeof place === 'string') {
    const got = place === null ? 'one that does not listen yet' : place;
    throw configurationError`${named('listen.server')}: expected a server that listens on a port, got ${got}`;
  }
  return place;
}

/**
 * Attaches to a server that already has its handlers. It stays the caller's, and is restored when the run has closed.
 */
export function attachServer({ server, path, turnedAway }: AttachOptions): SharedServer {
  const { port } = portOf(server);
  const connections = new Connections(turnedAway);
  let handlers = noHandlers;
  const others = intercept(server, {
    request(request, response, next) {
      const inner = within(path, request.url);
      if (inner === undefined) return next();
      if (inner === '') {
        response.writeHead(308, { location: `${path}/`, 'content-length': 0 }).end();
        return;
      }
      const { url } = request;
      request.url = inner;
      handlers.answer(request, response, () => {
        if (url !== undefined) request.url = url;
        next();
      });
    },
    upgrade(request, socket, head, next) {
      const inner = within(path, request.url);
      if (inner === undefined) return next();
      connections.add(socket as Socket);
      request.url = inner;
      handlers.upgrade(request, socket, head);
    },
  });
  return {
    port,
    connections,
    use(next) {
      handlers = next;
    },
    async close() {
      others.restore();
      await connections.cutUnless(connections.allClosed(), closeTimeoutMs);
    },
  };
}

/**
 * The rest of a URL below a path, from its slash on: empty for the path itself, undefined if the URL is not below it.
 */
function within(path: string, url = '/'): string | undefined {
  if (!url.startsWith(path)) return undefined;
  const rest = url.slice(path.length);
  return rest === '' || rest.startsWith('/') ? rest : rest.startsWith('?') ? '' : undefined;
}

interface Intercepting {
  request(request: IncomingMessage, response: ServerResponse, next: () => void): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, next: () => void): void;
}

type Listener = (...args: unknown[]) => void;

/** Inserts handlers before a server's own. */
function intercept(server: Server, handlers: Intercepting): { restore(): void } {
  const before = { request: server.listeners('request'), upgrade: server.listeners('upgrade') };
  const pass = (event: keyof typeof before, args: unknown[]): void => {
    for (const listener of before[event]) (listener as Listener).apply(server, args);
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
    handlers.request(request, response, () => {
      if (before.request.length > 0) pass('request', [request, response]);
      else response.writeHead(404).end();
    });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
    handlers.upgrade(request, socket, head, () => {
      if (before.upgrade.length > 0) pass('upgrade', [request, socket, head]);
      else rejectUpgrade(socket, 404, 'there is nothing at this address');
    });
  const ours = { request: onRequest, upgrade: onUpgrade };
  for (const event of ['request', 'upgrade'] as const) {
    server.removeAllListeners(event);
    server.on(event, ours[event] as Listener);
  }
  return {
    restore() {
      for (const event of ['request', 'upgrade'] as const) {
        server.off(event, ours[event] as Listener);
        for (const listener of before[event]) server.on(event, listener as Listener);
      }
    },
  };
}

/** Handlers of a server. */
export interface Handlers {
  readonly answer: Answer;
  /** Why a request is refused; undefined if it may go on. */
  checkOrigin(request: IncomingMessage): { readonly status: number; readonly message: string } | undefined;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface SharedServer {
  readonly port: number;
  readonly connections: Connections;
  /** Uses these handlers from now on. */
  use(handlers: Handlers): void;
  /** Stops listening; cuts connections that do not end by themselves. */
  close(): Promise<void>;
}

export interface SharedServerOptions extends PortOptions {
  readonly tls?: Tls | undefined;
  readonly turnedAway: TurnedAwayCounter;
}

/** A connection that has not sent a complete request by then is cut. */
const requestTimeoutMs = 10_000;

/** Handlers of a server before anything answers on it. */
export const noHandlers: Handlers = {
  answer: (_, response) => sendText(response, 503, 'nothing answers here yet: try again'),
  checkOrigin: () => undefined,
  upgrade: (_, socket) => rejectUpgrade(socket, 503, 'nothing answers here yet: try again'),
};

/**
 * Opens a server, with or without TLS, for workers, viewers and browsers on one port.
 * @throws ConfigurationError if it cannot listen
 */
export async function openServer(options: SharedServerOptions): Promise<SharedServer> {
  const { tls } = options;
  let handlers = noHandlers;
  const connections = new Connections(options.turnedAway);
  const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  const secure = tls && { ...timeouts, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const };
  const checked: Answer = (request, response) => {
    const refusal = handlers.checkOrigin(request);
    if (refusal === undefined) {
      handlers.answer(request, response);
      return;
    }
    leaveBody(request, response);
    sendText(response, refusal.status, refusal.message);
  };
  const http = secure === undefined ? createServer(timeouts, checked) : createSecureServer(secure, checked);
  http.on('connection', (socket) => connections.add(socket));
  http.on('upgrade', (request, socket, head) => handlers.upgrade(request, socket, head));
  return {
    port: await listenOnFreePort(http, options),
    connections,
    use(next) {
      handlers = next;
    },
    async close() {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeIdleConnections();
      await connections.cutUnless(closed, closeTimeoutMs);
    },
  };
}

export interface PortOptions {
  readonly host: string;
  /** Undefined for the first free port from `defaultPort` on. */
  readonly port: number | undefined;
  readonly defaultPort: number;
}

const portsTried = 100;
/** Sockets that may wait in the kernel: hundreds of workers may connect at the same moment. */
const backlog = 512;

/** Returns the port. @throws ConfigurationError */
export async function listenOnFreePort(server: Server, { host, port, defaultPort }: PortOptions): Promise<number> {
  const [first, last] = port === undefined ? [defaultPort, defaultPort + portsTried - 1] : [port, port];
  for (let candidate = first; candidate <= last; candidate++) {
    const error = await tryPort(server, host, candidate);
    if (error === undefined) return (server.address() as AddressInfo).port;
    switch (error.code) {
      case 'EADDRINUSE':
        break;
      case 'EACCES':
        throw configurationError`${at('port', candidate)}: expected a port that this user may open, got one that is reserved`;
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        throw configurationError`${at('host', host)}: expected an address of this machine, got one that is not`;
      default:
        throw configurationError`${at('host', host)} ${at('port', candidate)}: cannot listen there (${error.message})`;
    }
  }
  if (port === undefined) {
    throw configurationError`expected a free port from ${first} to ${last}, all are in use; name one with ${at('port')}`;
  }
  throw configurationError`${at('port', port)}: expected a free port, this one is in use; leave ${at('port')} out to take the next free one`;
}

function at(option: 'host' | 'port', value?: string | number): NamedOption {
  return named(`listen.${option}`, value?.toString());
}

async function tryPort(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  try {
    server.listen({ host, port, backlog });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

/** Handlers that serve for a while: the lobby or a run. */
export interface Phase extends Handlers {
  /** Asks the phase's sockets to close. */
  close(code: number, reason: string): void;
}

/** A listening server and its tokens. */
export interface Standing {
  readonly server: SharedServer;
  readonly settings: NetworkSettings;
  readonly addresses: Addresses;
  /** Addresses for people, without secrets: for tabs, and for Node workers. */
  readonly joinAddresses: readonly string[];
  readonly door: Door;
  readonly permission: WatchPermission;
  /** Workers that arrive while there is no run. */
  readonly waiting: WaitingWorkers;
}

/** Opens a server with its tokens. @throws ConfigurationError if it cannot listen */
export async function openStanding(
  settings: NetworkSettings,
  emit: (event: ListeningEvent) => void,
): Promise<Standing> {
  const { listen, token, code, adminToken, tls } = settings;
  const { host, server: given, path } = listen;
  const turnedAway = new TurnedAwayCounter();
  const server = given
    ? attachServer({ server: given, path: path ?? '', turnedAway })
    : await openServer({ host, port: listen.port, defaultPort, tls, turnedAway });
  const { port } = server;
  const secure = given ? 'setSecureContext' in given : tls !== undefined;
  const addresses = addressesOf({ ...settings, tls: given && secure ? {} : tls }, host, port, path);
  const wantedPort = given ? port : (listen.port ?? defaultPort);
  emit({ type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint });
  const guesses = new Guesses(systemClock);
  return {
    ...{ server, settings, addresses },
    door: { host, secure, allowedOrigins: listen.allowOrigins ?? [], token, code, guesses, turnedAway },
    joinAddresses: [addresses.page.replace(/#.*/, ''), addresses.worker],
    permission: new WatchPermission({
      ...{ token, code, adminToken, guesses },
      publicView: listen.publicView ?? false,
      onBadToken: () => turnedAway.count('token'),
    }),
    waiting: new WaitingWorkers(systemClock, token),
  };
}
