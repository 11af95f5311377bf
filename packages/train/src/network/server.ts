/** The server for workers, viewers and browsers on one port, with or without TLS. */
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { listenOnFreePort, type PortOptions } from '../http/free-port.ts';
import { type Answer, sendText } from '../http/site.ts';
import type { Tls } from '../http/tls.ts';
import { closeTimeoutMs } from '../http/upgrade.ts';
import type { Traffic } from '../run/worker-pool.ts';
import { Connections } from './connections.ts';
import { createSockets, type SocketOptions } from './sockets.ts';

export interface ServerOptions extends PortOptions, Omit<SocketOptions, 'secure'> {
  readonly tls?: Tls | undefined;
  readonly answer: Answer;
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
  const { tls, turnedAway, answer } = options;
  const connections = new Connections(turnedAway);
  const sockets = createSockets({ ...options, secure: tls !== undefined }, connections);
  const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  const secure = tls && { ...timeouts, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const };
  const checked: Answer = (request, response) => {
    const refusal = sockets.checkOrigin(request);
    if (refusal === undefined) answer(request, response);
    else sendText(response, refusal.status, refusal.message);
  };
  const http = secure === undefined ? createServer(timeouts, checked) : createSecureServer(secure, checked);
  http.on('connection', (socket) => connections.add(socket));
  http.on('upgrade', sockets.upgrade);
  return {
    port: await listenOnFreePort(http, options),
    traffic: sockets.traffic,
    async close() {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      sockets.close();
      http.closeIdleConnections();
      await connections.cutUnless(closed, closeTimeoutMs);
    },
  };
}
