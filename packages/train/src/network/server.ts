/** The server for workers, viewers and browsers on one port, with or without TLS. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { CoordinatorTransport } from '@lockstep/protocol';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import { GuardedTransport, type GuardOptions } from '../guard/guarded-transport.ts';
import { HandshakeRates } from '../guard/handshake-rates.ts';
import { defaultPendingLimits, PendingConnections } from '../guard/pending-connections.ts';
import { sourceOf } from '../guard/source-address.ts';
import { TokenGuesses } from '../guard/token-guesses.ts';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';
import { maxQueuedBytes } from '../guard/worker-limits.ts';
import { listenOnFreePort, type PortOptions } from '../http/free-port.ts';
import { createOriginCheck } from '../http/origin.ts';
import { type Answer, sendText } from '../http/site.ts';
import type { Tls } from '../http/tls.ts';
import { TrafficCounter } from '../http/traffic-counter.ts';
import { closeTimeoutMs, createUpgrades } from '../http/upgrade.ts';
import type { Traffic } from '../run/worker-pool.ts';

export interface ServerOptions extends PortOptions {
  readonly maxFrameBytes: number;
  /** Bytes of all samples of a step. */
  readonly batchBytes: number;
  readonly tls?: Tls | undefined;
  /** Origins of pages that may open sockets, besides the coordinator's own. */
  readonly allowedOrigins?: readonly string[];
  /** The token that joining needs. */
  readonly token?: string | undefined;
  readonly guesses?: TokenGuesses;
  readonly turnedAway: TurnedAwayCounter;
  /** @param address what the worker's connections are counted by */
  readonly onConnection: (transport: CoordinatorTransport, address: string) => void;
  readonly onViewer: (socket: WebSocket, visit: Visit) => void;
  readonly answer: Answer;
}

/** A viewer's connection. */
export interface Visit {
  readonly address: string;
  /** To be called when the viewer has shown that it may watch; before that its socket may be cut for another one. */
  readonly settle: () => void;
}

export interface CoordinatorServer {
  readonly port: number;
  /** Bytes over all sockets of workers so far. */
  traffic(): Traffic;
  /** Closes every socket; those that do not answer are cut. */
  close(): Promise<void>;
}

/** A connection that has not sent a whole request by then is cut. */
const requestTimeoutMs = 10_000;

/** @throws ConfigurationError where it cannot listen */
export async function openServer(options: ServerOptions): Promise<CoordinatorServer> {
  const { tls, maxFrameBytes, turnedAway, answer, onViewer } = options;
  const check = createCheck(options);
  const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  const secure = tls && { ...timeouts, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const };
  const checked: Answer = (request, response) => {
    const refusal = check.origin(request);
    if (refusal === undefined) answer(request, response);
    else sendText(response, refusal.status, refusal.message);
  };
  const http = secure === undefined ? createServer(timeouts, checked) : createSecureServer(secure, checked);
  const connections = trackConnections(http, turnedAway);
  const workerTraffic = new TrafficCounter();
  const guard = guardOptions(options);
  const upgrades = createUpgrades({
    maxFrameBytes,
    check: check.upgrade,
    onViewer: (webSocket, { socket }) =>
      onViewer(webSocket, { address: sourceOf(socket.remoteAddress), settle: () => connections.settle(socket) }),
    onWorker(webSocket, { socket }) {
      workerTraffic.add(socket);
      const address = sourceOf(socket.remoteAddress);
      const onWelcome = (): void => connections.settle(socket);
      options.onConnection(new GuardedTransport({ webSocket, socket, address, onWelcome }, guard), address);
    },
  });
  http.on('upgrade', upgrades.upgrade);
  return {
    port: await listenOnFreePort(http, options),
    traffic: () => workerTraffic.total(),
    async close() {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      const cut = setTimeout(() => connections.cutAll(), closeTimeoutMs);
      upgrades.close();
      http.closeIdleConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}

function createCheck({ host, tls, allowedOrigins = [], turnedAway }: ServerOptions) {
  const checkOrigin = createOriginCheck({ host, secure: tls !== undefined, allowed: allowedOrigins });
  const rates = new HandshakeRates(systemClock.nowMs);
  const origin = (request: IncomingMessage) => {
    const refusal = checkOrigin(request);
    if (refusal) turnedAway.count('origin');
    return refusal;
  };
  return {
    origin,
    upgrade(request: IncomingMessage) {
      if (rates.take(sourceOf(request.socket.remoteAddress))) return origin(request);
      turnedAway.count('hasty');
      return { status: 429, message: 'too many connections were opened from this address: try again in a few seconds' };
    },
  };
}

function guardOptions({ maxFrameBytes, batchBytes, token, guesses, turnedAway }: ServerOptions): GuardOptions {
  const { nowMs } = systemClock;
  return {
    maxFrameBytes,
    maxQueuedBytes: maxQueuedBytes(maxFrameBytes, batchBytes),
    nowMs,
    token,
    guesses: guesses ?? new TokenGuesses(nowMs),
    onTurnedAway: turnedAway.count,
  };
}

/** Every connection that is open, and how many may be that have shown nothing yet. */
function trackConnections(http: Server, turnedAway: TurnedAwayCounter) {
  const open = new Set<Socket>();
  const pending = new PendingConnections(defaultPendingLimits);
  http.on('connection', (socket: Socket) => {
    // A client that has closed again has no address any more.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const address = sourceOf(socket.remoteAddress);
    const key = connectionKey(socket);
    open.add(socket);
    socket.on('close', () => {
      open.delete(socket);
      pending.settle(key, address);
    });
    pending.add(key, address, () => {
      turnedAway.count('silent');
      socket.destroy();
    });
  });
  return {
    /** @param socket the connection's own, or the one inside it where it is encrypted */
    settle: (socket: Socket): void => pending.settle(connectionKey(socket), sourceOf(socket.remoteAddress)),
    cutAll(): void {
      for (const socket of open) socket.destroy();
    },
  };
}

function connectionKey({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
