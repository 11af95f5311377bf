/** A server whose handlers change: those of a run, or of what stands there before it. */
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TurnedAwayCounter } from '../guard/turned-away.ts';
import { listenOnFreePort, type PortOptions } from '../http/free-port.ts';
import { type Answer, leaveBody, sendText } from '../http/pages.ts';
import type { Tls } from '../http/tls.ts';
import { closeTimeoutMs, rejectUpgrade } from '../http/upgrade.ts';
import { Connections } from './connections.ts';

/** What answers on a server. */
export interface Handlers {
  readonly answer: Answer;
  /** Why a request may not go on, undefined where it may. */
  checkOrigin(request: IncomingMessage): { readonly status: number; readonly message: string } | undefined;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface SharedServer {
  readonly port: number;
  readonly connections: Connections;
  /** Hands what comes from now on to these. */
  use(handlers: Handlers): void;
  /** Listens no more; connections that do not end by themselves are cut. */
  close(): Promise<void>;
}

export interface SharedServerOptions extends PortOptions {
  readonly tls?: Tls | undefined;
  readonly turnedAway: TurnedAwayCounter;
}

/** A connection that has not sent a whole request by then is cut. */
const requestTimeoutMs = 10_000;

/** Those of a server that nothing answers on yet. */
export const noHandlers: Handlers = {
  answer: (_, response) => sendText(response, 503, 'nothing answers here yet: try again'),
  checkOrigin: () => undefined,
  upgrade: (_, socket) => rejectUpgrade(socket, 503, 'nothing answers here yet: try again'),
};

/** With or without TLS, for workers, viewers and browsers on one port. @throws ConfigurationError where it cannot listen */
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
