/** The server for workers, viewers and browsers on one port, with or without TLS. */
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import { type CoordinatorTransport, webSocketTransport } from '@lockstep/protocol';
import type { WebSocket } from 'ws';
import { ConnectionLimiter, type ConnectionLimits, defaultConnectionLimits } from './http/connection-limiter.ts';
import { listenOnFreePort, type PortOptions } from './http/free-port.ts';
import { createOriginCheck } from './http/origin.ts';
import { type Answer, sendText } from './http/site.ts';
import type { Tls } from './http/tls.ts';
import { TrafficCounter } from './http/traffic-counter.ts';
import { closeTimeoutMs, createUpgrades } from './http/upgrade.ts';
import type { Traffic } from './worker-pool.ts';

export interface ServerOptions extends PortOptions {
  readonly maxFrameBytes: number;
  readonly tls?: Tls | undefined;
  /** Origins of pages that may open sockets, besides the coordinator's own. */
  readonly allowedOrigins?: readonly string[];
  readonly connectionLimits?: Partial<ConnectionLimits> | undefined;
  readonly onConnection: (transport: CoordinatorTransport) => void;
  readonly onViewer: (socket: WebSocket) => void;
  readonly answer: Answer;
}

export interface CoordinatorServer {
  readonly port: number;
  /** Bytes over all sockets of workers so far. */
  traffic(): Traffic;
  /** Closes every socket; those that do not answer are cut. */
  close(): Promise<void>;
}

/** Connections of any kind, those included that have not yet sent a request. */
const maxConnections = 1_024;
/** A connection that has not sent a whole request by then is cut. */
const requestTimeoutMs = 10_000;

/** @throws CommandFailure with exit code 2 where it cannot listen */
export async function listen(options: ServerOptions): Promise<CoordinatorServer> {
  const { host, tls, maxFrameBytes, onViewer, answer } = options;
  const checkOrigin = createOriginCheck({ host, secure: tls !== undefined, allowed: options.allowedOrigins ?? [] });
  const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  const secure = tls && { ...timeouts, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const };
  const checked: Answer = (request, response) => {
    const refusal = checkOrigin(request);
    if (refusal === undefined) answer(request, response);
    else sendText(response, refusal.status, refusal.message);
  };
  const http = secure === undefined ? createServer(timeouts, checked) : createSecureServer(secure, checked);
  const sockets = trackSockets(http);
  const limiter = new ConnectionLimiter({ ...defaultConnectionLimits, ...options.connectionLimits });
  const workerTraffic = new TrafficCounter();
  const upgrades = createUpgrades({
    limiter,
    checkOrigin,
    maxFrameBytes,
    onViewer,
    onWorker(webSocket, { socket }) {
      workerTraffic.add(socket);
      const remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
      options.onConnection(webSocketTransport(webSocket, { side: 'coordinator', remote, maxFrameBytes }));
    },
  });
  http.on('upgrade', upgrades.upgrade);
  return {
    port: await listenOnFreePort(http, options),
    traffic: () => workerTraffic.total(),
    async close() {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, closeTimeoutMs);
      upgrades.close();
      http.closeIdleConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}

/** Every socket that is open, of any kind. */
function trackSockets(http: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  http.maxConnections = maxConnections;
  http.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return sockets;
}
