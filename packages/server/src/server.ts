/** HTTP servers, our own or the caller's: their handlers change while their port stays. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { configurationError, type NamedOption, optionName } from '@lockstep/command/options';
import { defaultPort, type Tls } from '@lockstep/prepare';
import type { ListeningEvent } from '@lockstep/record';
import { largestCrowd, sourceOf, type TurnedAwayCounts } from './limiter.ts';
import { type Answer, leaveBody, sendText } from './pages.ts';
import { addressesOf, type SiteSecrets } from './secrets.ts';

/** Handlers of a server. The origin of what they get has been checked, but for plain requests on a caller's server. */
interface Handlers {
  readonly answer: Answer;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** A server that listens, with handlers that can be exchanged. */
export interface SiteServer {
  readonly port: number;
  readonly connections: Connections;
  use(handlers: Handlers): void;
  /** Stops listening, or leaves the caller's server; cuts connections that do not end by themselves. */
  close(): Promise<void>;
}

interface ServerOptions {
  /** The address that the server listens on, as given. */
  readonly host: string;
  /** Origins such as `https://page.example`, whose pages may connect besides our own. */
  readonly allowedOrigins: readonly string[];
  readonly turnedAway: TurnedAwayCounts;
  /** Receives a sentence for each of the first origins whose pages are turned away: a browser tells a page no reason. */
  readonly tell: (message: string) => void;
}

export interface OwnServerOptions extends ServerOptions {
  /** Undefined for the first free port from the default port on. */
  readonly port: number | undefined;
  readonly tls: Tls | undefined;
}

const nothingYet = 'the server is still starting: try again';
const noHandlers: Handlers = {
  answer: (_, response) => sendText(response, 503, nothingYet),
  upgrade: (_, socket) => rejectUpgrade(socket, 503, nothingYet),
};
/** A connection that has not sent a complete request by then is cut. */
const requestTimeoutMs = 10_000;
/** A socket that has not answered a close by then is cut; a frozen worker never answers. */
export const closeTimeoutMs = 1_000;

/**
 * Opens a server, with or without TLS, for workers, viewers and browsers on one port.
 * @throws ConfigurationError if it cannot listen
 */
export async function openServer(options: OwnServerOptions): Promise<SiteServer> {
  const { host, port, tls } = options;
  const { connections, refusalOf, handlers, use } = openHandlers({ ...options, secure: tls !== undefined });
  const answer: Answer = (request, response) => {
    const refusal = refusalOf(request);
    if (refusal === undefined) {
      handlers.answer(request, response);
      return;
    }
    leaveBody(request, response);
    sendText(response, refusal.status, refusal.message);
  };
  const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  const http = tls
    ? createSecureServer({ ...timeouts, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' }, answer)
    : createServer(timeouts, answer);
  http.on('connection', (socket) => connections.add(socket));
  http.on('upgrade', handlers.upgrade);
  return {
    port: await listenOnFreePort(http, host, port),
    ...{ connections, use },
    async close() {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeIdleConnections();
      await connections.cutUnless(closed, closeTimeoutMs);
    },
  };
}

/** Paths of the runs attached to each server of a caller. */
const attachedPaths = new WeakMap<Server, Set<string>>();

/**
 * Attaches to a server that already has its handlers, which get whatever is not below `path`, such as `/lockstep`. The
 * server stays the caller's, and is restored on closing.
 * @throws ConfigurationError if it does not listen on a port, or another run is attached to it at this path
 */
export function attachServer(server: Server, path: string, options: ServerOptions): SiteServer {
  const { port } = portOf(server);
  const paths = attachedPaths.get(server) ?? new Set();
  if (paths.has(path)) {
    throw configurationError`${optionName('listen.path')}: expected a path that no other run on the server has, got ${path || '/'}`;
  }
  attachedPaths.set(server, paths.add(path));
  const { connections, handlers, use } = openHandlers({ ...options, secure: hasTls(server) });
  const restore = intercept(server, {
    request(request, response, next) {
      const { url } = request;
      const inner = within(path, url);
      if (inner === undefined) return next();
      if (inner === '') {
        response.writeHead(308, { location: `${path}/`, 'content-length': 0 }).end();
        return;
      }
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
    ...{ port, connections, use },
    async close() {
      restore();
      paths.delete(path);
      await connections.cutUnless(connections.allClosed(), closeTimeoutMs);
    },
  };
}

/** The parts of any server: its connections, the check of origins, and handlers that `use` exchanges. */
function openHandlers(options: OriginOptions) {
  const refusalOf = createOriginCheck(options);
  let used = noHandlers;
  const handlers: Handlers = {
    answer: (...request) => used.answer(...request),
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy());
      const refusal = refusalOf(request);
      if (refusal) rejectUpgrade(socket, refusal.status, refusal.message);
      else used.upgrade(request, socket, head);
    },
  };
  const use = (next: Handlers): void => {
    used = next;
  };
  return { connections: new Connections(options.turnedAway), refusalOf, handlers, use };
}

/** @param path prefix of the addresses' paths, such as `/lockstep` */
export function listeningEvent(
  secrets: SiteSecrets,
  host: string,
  port: number,
  wantedPort = defaultPort,
  path = '',
): ListeningEvent {
  const { token, tls } = secrets;
  const addresses = addressesOf(secrets, host, port, path);
  return { type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint };
}

export function hasTls(server: Server): boolean {
  return 'setSecureContext' in server;
}

/** Address and port of a server. @throws ConfigurationError if it is not listening, or not on a port */
export function portOf(server: Server): { readonly address: string; readonly port: number } {
  const place = server.address();
  if (place !== null && typeof place !== 'string') return place;
  const got = place ?? 'one that does not listen yet';
  throw configurationError`${optionName('listen.server')}: expected a server that listens on a port, got ${got}`;
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

/** Node emits upgrades only to servers that have a listener for them. */
const listenToUpgrades = (): void => {};

/** Functions that stand for a server's own `emit`, one around another if several runs are attached. */
const intercepting = new WeakSet<Server['emit']>();

/** Asks handlers before a server's own listeners, which `next` calls. @returns a function that ends this */
function intercept(server: Server, { request: onRequest, upgrade: onUpgrade }: Intercepting): () => void {
  const { emit } = server;
  let hasEnded = false;
  server.on('upgrade', listenToUpgrades);
  const ask = (event: string, ...args: unknown[]): boolean => {
    const next = (): boolean => Reflect.apply(emit, server, [event, ...args]);
    if (event === 'request' && !hasEnded) {
      const [request, response] = args as [IncomingMessage, ServerResponse];
      onRequest(request, response, () => void (next() || response.writeHead(404).end()));
    } else if (event === 'upgrade') {
      const [request, socket, head] = args as [IncomingMessage, Duplex, Buffer];
      const passOn = (): void => {
        const isTaken = server.listeners('upgrade').some((listener) => listener !== listenToUpgrades);
        if (isTaken || intercepting.has(emit)) next();
        else rejectUpgrade(socket, 404, 'nothing is served at this address');
      };
      if (hasEnded) passOn();
      else onUpgrade(request, socket, head, passOn);
    } else return next();
    return true;
  };
  server.emit = ask as typeof emit;
  intercepting.add(server.emit);
  return () => {
    hasEnded = true;
    // If another run was attached later, it asks this function next.
    if (server.emit === ask) server.emit = emit;
    server.off('upgrade', listenToUpgrades);
  };
}

const portsTried = 100;
/** Sockets that may wait in the kernel: hundreds of workers may connect at the same moment. */
const backlog = 512;

/**
 * @param port undefined for the first free port from the default port on
 * @returns the port
 * @throws ConfigurationError
 */
async function listenOnFreePort(server: Server, host: string, port: number | undefined): Promise<number> {
  if (host.includes('%')) {
    throw configurationError`${at('host', host)}: expected an address without a zone, which no join address can contain`;
  }
  const [first, last] = port === undefined ? [defaultPort, defaultPort + portsTried - 1] : [port, port];
  for (let candidate = first; candidate <= last; candidate++) {
    try {
      server.listen({ host, port: candidate, backlog });
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      switch (code) {
        case 'EADDRINUSE':
          continue;
        case 'EACCES':
          throw configurationError`${at('port', candidate)}: expected a port that this user may open, got a reserved one`;
        case 'EADDRNOTAVAIL':
        case 'ENOTFOUND':
        case 'EAI_AGAIN':
          throw configurationError`${at('host', host)}: expected an address of this machine, got another one`;
        default:
          throw configurationError`${at('host', host)} ${at('port', candidate)}: cannot listen there (${message})`;
      }
    }
  }
  if (port === undefined) {
    throw configurationError`expected a free port from ${first} to ${last}, but all are in use; choose one with ${at('port')}`;
  }
  throw configurationError`${at('port', port)}: expected a free port, but this one is in use; omit ${at('port')} to use the next free one`;
}

function at(option: 'host' | 'port', value?: string | number): NamedOption {
  return optionName(`listen.${option}`, value?.toString());
}

const defaultSilentLimits = { total: 1_024, perAddress: 512 };

interface SilentConnection {
  readonly key: string;
  readonly socket: Socket;
  readonly address: string;
}

/**
 * The open connections of a server.
 *
 * A connection is silent until it has shown its purpose: by a request, or a `hello`. The number of silent connections is
 * bounded, in total and per address. Beyond it, a new one replaces the oldest one of the address that has most. So silent
 * connections never keep other addresses out, and their own address only for moments.
 */
export class Connections {
  readonly #turnedAway: TurnedAwayCounts;
  readonly #limits: typeof defaultSilentLimits;
  readonly #open = new Set<Socket>();
  /** Connections that end by themselves, however long that takes. */
  readonly #ending = new Set<string>();
  /** Silent connections, oldest first. */
  readonly #silent = new Map<string, SilentConnection>();

  constructor(turnedAway: TurnedAwayCounts, limits = defaultSilentLimits) {
    this.#turnedAway = turnedAway;
    this.#limits = limits;
  }

  add(socket: Socket): void {
    // A client that has already closed the connection has no address any more.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const key = connectionKey(socket);
    const address = sourceOf(socket.remoteAddress);
    this.#open.add(socket);
    this.#silent.set(key, { key, socket, address });
    socket.on('close', () => {
      this.#open.delete(socket);
      this.#ending.delete(key);
      if (this.#silent.get(key)?.socket === socket) this.#silent.delete(key);
    });
    this.#makeRoom(address);
  }

  /** Called when a connection has shown its purpose. @param socket its own, or the one inside it if it is encrypted */
  settle(socket: Socket): void {
    this.#silent.delete(connectionKey(socket));
  }

  /** Exempts a connection that ends by itself from being cut with the others. @param socket as for `settle` */
  letEnd(socket: Socket): void {
    this.#ending.add(connectionKey(socket));
  }

  async allClosed(): Promise<void> {
    await Promise.all([...this.#open].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  }

  /** Resolves as `closed` does; after `timeoutMs`, cuts open connections that do not end by themselves. */
  async cutUnless(closed: Promise<void>, timeoutMs: number): Promise<void> {
    const cut = setTimeout(() => {
      for (const socket of this.#open) if (!this.#ending.has(connectionKey(socket))) socket.destroy();
    }, timeoutMs);
    await closed;
    clearTimeout(cut);
  }

  #makeRoom(address: string): void {
    const { total, perAddress } = this.#limits;
    const neighbors = [...this.#silent.values()].filter((other) => other.address === address);
    const isFull = this.#silent.size > total;
    const crowd = neighbors.length > perAddress ? neighbors : isFull ? largestCrowd(this.#silent.values()) : [];
    const [oldest] = crowd;
    if (!oldest) return;
    this.#silent.delete(oldest.key);
    this.#turnedAway.silent += 1;
    oldest.socket.destroy();
  }
}

function connectionKey({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

interface OriginOptions extends ServerOptions {
  readonly secure: boolean;
}

/** Why a request is refused; undefined if it may go on. */
type OriginCheck = (
  request: Pick<IncomingMessage, 'headers'>,
) => { readonly status: 403 | 421; readonly message: string } | undefined;

/** More origins, or longer ones, are nobody's page. */
const mostToldOrigins = 8;
const longestToldOrigin = 200;

/**
 * Decides which pages may open sockets here, and by which names this machine may be addressed.
 *
 * A browser lets any page open a WebSocket to any address; only the `Origin` header names the page. Comparing `Origin`
 * with `Host` is not enough: a page can make its own name point to this machine (DNS rebinding). So `Host` must be an
 * address, or a known name of this machine.
 */
export function createOriginCheck(options: OriginOptions): OriginCheck {
  const { host, secure, allowedOrigins, turnedAway, tell } = options;
  const told = new Set<string>();
  const machine = hostname().toLowerCase();
  const names = new Set(['localhost', machine, `${machine}.local`, host.toLowerCase()]);
  for (const origin of allowedOrigins) names.add(new URL(origin).hostname);
  const scheme = secure ? 'https' : 'http';
  const refusal = (status: 403 | 421, message: string) => {
    turnedAway.origin += 1;
    return { status, message };
  };
  return ({ headers }) => {
    const own = originOf(`${scheme}://${headers.host ?? ''}`);
    if (own === undefined || !isKnown(own.hostname, names)) {
      return refusal(
        421,
        'this host name does not belong to this machine: use its address, or start the coordinator with --host',
      );
    }
    // Only browsers send it, and a page cannot omit it.
    if (headers.origin === undefined) return undefined;
    const page = originOf(headers.origin)?.origin;
    if (page !== undefined && (page === own.origin || allowedOrigins.includes(page))) return undefined;
    if (page !== undefined && page.length <= longestToldOrigin && told.size < mostToldOrigins && !told.has(page)) {
      told.add(page);
      tell(`a page of ${page} was turned away: --allow-origin ${page} lets it join`);
    }
    return refusal(
      403,
      'this page was served from another origin: open the address that the coordinator printed, or allow this origin with --allow-origin',
    );
  };
}

function isKnown(name: string, names: ReadonlySet<string>): boolean {
  const address = name.startsWith('[') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || names.has(name) || name.endsWith('.localhost');
}

function originOf(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined;
}

/** Answers an upgrade request with one line of plain text. */
export function rejectUpgrade(socket: Duplex, status: number, message: string): void {
  const body = `${message}\n`;
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: text/plain; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
