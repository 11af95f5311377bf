/** The sockets of workers and viewers on a server, and who may open one. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { Duplex } from 'node:stream';
import { type CoordinatorTransport, subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { defaultLimits } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Connections, clientOf } from './connections.ts';
import {
  answerSize,
  closeTimeoutMs,
  GuardedTransport,
  type GuardOptions,
  maxQueuedBytes,
  mostClosingMs,
  TrafficCounter,
} from './guarded-transport.ts';
import { Guesses, Limiter, type Rate, type TurnedAwayCounter } from './limiter.ts';

/** Who may connect, whatever runs on the server. */
export interface Door {
  /** The address that the server listens on. */
  readonly host: string;
  /** Whether the server uses TLS. */
  readonly secure: boolean;
  /** Origins of pages that may open sockets, besides the coordinator's own. */
  readonly allowedOrigins?: readonly string[];
  /** The token for joining. */
  readonly token?: string | undefined;
  /** Accepted in place of the token. */
  readonly code?: string | undefined;
  readonly guesses?: Guesses;
  readonly turnedAway: TurnedAwayCounter;
}

export interface SocketOptions extends Door {
  readonly maxFrameBytes: number;
  /** Bytes of all parameters, and of a chunk of them. */
  readonly vectorBytes: number;
  readonly chunkBytes: number;
  /** Bytes of all samples of a step. */
  readonly batchBytes: number;
  readonly heartbeatMs: number;
  /** @param address by which the worker's connections are counted */
  readonly onConnection: (transport: CoordinatorTransport, address: string) => void;
  readonly onViewer: (socket: WebSocket, visit: Visit) => void;
}

/** A viewer's connection. */
export interface Visit {
  readonly address: string;
  /** Called when the viewer has shown that it may watch; until then, its socket may be cut to make room. */
  readonly settle: () => void;
}

const helloBytes = 64 * 1024;
/** Sizes while there is no run: a worker sends only its `hello`. */
export const helloSizes = {
  ...{ maxFrameBytes: helloBytes, vectorBytes: 0, chunkBytes: helloBytes, batchBytes: 0 },
  heartbeatMs: defaultLimits.heartbeatMs,
};

/** A viewer sends only actions and its token. */
const maxViewerFrameBytes = 4 * 1024;
/** Close code of sockets that should reconnect at once. */
export const restartCode = 1012;
/** Hundreds of tabs behind one router may return at the same moment, repeatedly. */
const handshakes: Rate = { capacity: 2_048, perSecond: 256 };
const longestHandshakeMs = 2_000;
const hasty = 'too many connections are being opened from this address: try again in a few seconds';

export function createSockets(options: SocketOptions, connections: Connections) {
  const { host, secure, allowedOrigins = [], maxFrameBytes, token, turnedAway } = options;
  const originRefusal = createOriginCheck({ host, secure, allowed: allowedOrigins });
  const rates = new Limiter(handshakes, longestHandshakeMs, systemClock.nowMs);
  const traffic = new TrafficCounter();
  const guard = guardOptions(options);
  const transports = new Set<GuardedTransport>();
  const workers = serverOf(subprotocol, maxFrameBytes, mostClosingMs);
  const viewers = serverOf(watchSubprotocol, maxViewerFrameBytes, closeTimeoutMs);

  const checkOrigin = (request: IncomingMessage) => {
    const refusal = originRefusal(request);
    if (refusal) turnedAway.count('origin');
    return refusal;
  };
  const onViewer = (webSocket: WebSocket, request: IncomingMessage): void =>
    options.onViewer(webSocket, {
      address: clientOf(request, token),
      settle: () => connections.settle(request.socket),
    });
  const onWorker = (webSocket: WebSocket, request: IncomingMessage): void => {
    const { socket } = request;
    const address = clientOf(request, token);
    const onWelcome = (): void => connections.settle(socket);
    const onEnding = (): void => connections.letEnd(socket);
    const transport = new GuardedTransport({ webSocket, socket, address, onWelcome, onEnding }, guard);
    transports.add(transport);
    webSocket.once('close', () => transports.delete(transport));
    traffic.add(socket, transport);
    options.onConnection(transport, address);
  };
  const open = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const refusal = checkOrigin(request);
    if (refusal) {
      rejectUpgrade(socket, refusal.status, refusal.message);
      return;
    }
    const isViewer = (request.url ?? '/').split('?')[0] === watchPath;
    const [server, onSocket] = isViewer ? [viewers, onViewer] : [workers, onWorker];
    server.handleUpgrade(request, socket, head, (webSocket) => onSocket(webSocket, request));
  };
  return {
    /** A client that opens too many sockets is delayed, and rejected only if too many of its own already wait. */
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      socket.on('error', () => socket.destroy());
      const waitMs = rates.reserve(clientOf(request, token));
      if (waitMs === 0) open(request, socket, head);
      else if (waitMs === undefined) {
        turnedAway.count('hasty');
        rejectUpgrade(socket, 429, hasty);
      } else {
        socket.once(
          'close',
          systemClock.after(waitMs, () => open(request, socket, head)),
        );
      }
    },
    checkOrigin,
    traffic: () => traffic.total(),
    /** Accepts no further sockets, and asks every socket to close. */
    close(code = 1001, reason = 'the coordinator ends'): void {
      for (const transport of transports) transport.close(code, reason);
      for (const viewer of viewers.clients) viewer.close(code, reason);
      for (const server of [workers, viewers]) server.close();
    },
  };
}

function guardOptions(options: SocketOptions): GuardOptions {
  const { maxFrameBytes, vectorBytes, chunkBytes, batchBytes, heartbeatMs, token, code, turnedAway } = options;
  const answer = answerSize(vectorBytes, chunkBytes);
  return {
    ...{ maxFrameBytes, answer, heartbeatMs, token, code, clock: systemClock },
    maxQueuedBytes: maxQueuedBytes(answer.bytes, batchBytes),
    guesses: options.guesses ?? new Guesses(systemClock),
    onTurnedAway: turnedAway.count,
  };
}

function serverOf(protocol: string, maxPayload: number, closeTimeout: number): WebSocketServer {
  const handleProtocols = (offered: Set<string>) => (offered.has(protocol) ? protocol : false);
  // A variable, since the types of ws lack `closeTimeout`.
  const options = { noServer: true, perMessageDeflate: false, maxPayload, closeTimeout, handleProtocols };
  return new WebSocketServer(options);
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

export interface OriginOptions {
  /** The address that the server listens on, as given. */
  readonly host: string;
  readonly secure: boolean;
  /** Origins such as `https://page.example`, whose pages may join besides our own. */
  readonly allowed: readonly string[];
}

/** Returns undefined if the request may go on. */
export type OriginCheck = (
  request: Pick<IncomingMessage, 'headers'>,
) => { readonly status: 403 | 421; readonly message: string } | undefined;

/**
 * Decides which pages may open sockets here, and by which names this machine may be addressed.
 *
 * A browser lets any page open a WebSocket to any address; only the `Origin` header names the page. Comparing `Origin`
 * with `Host` is not enough: a page can make its own name point to this machine (DNS rebinding). So `Host` must be an
 * address, or a known name of this machine.
 */
export function createOriginCheck({ host, secure, allowed }: OriginOptions): OriginCheck {
  const machine = hostname().toLowerCase();
  const names = new Set(['localhost', machine, `${machine}.local`, host.toLowerCase()]);
  for (const origin of allowed) names.add(new URL(origin).hostname);
  const scheme = secure ? 'https' : 'http';

  return ({ headers }) => {
    const own = originOf(`${scheme}://${headers.host ?? ''}`);
    if (own === undefined || !isKnown(own.hostname, names)) {
      const message =
        'the name in the address is not one of this machine: open it by its address, or name it with --host';
      return { status: 421, message };
    }
    // Only browsers send it, and a page cannot omit it.
    if (headers.origin === undefined) return undefined;
    const page = originOf(headers.origin)?.origin;
    if (page !== undefined && (page === own.origin || allowed.includes(page))) return undefined;
    const message =
      'this page came from another address than the coordinator: open the address that the coordinator printed, or allow the page with --allow-origin';
    return { status: 403, message };
  };
}

function isKnown(name: string, names: ReadonlySet<string>): boolean {
  const address = name.startsWith('[') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || names.has(name) || name.endsWith('.localhost');
}

function originOf(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
  } catch {
    return undefined;
  }
}
