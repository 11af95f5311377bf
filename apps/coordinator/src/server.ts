/** Listens on one port for workers, viewers and browsers, with or without TLS. */
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { usageFailure } from '@lockstep/command';
import { type CoordinatorTransport, webSocketTransport } from '@lockstep/protocol';
import type { WebSocket } from 'ws';
import { createGate, defaultSocketLimits, type SocketLimits } from './http/gate.ts';
import { createOriginCheck } from './http/origin.ts';
import type { Answer } from './http/site.ts';
import type { Tls } from './http/tls.ts';
import { closeTimeoutMs, createUpgrades } from './http/upgrade.ts';

export interface ListenOptions {
  readonly host: string;
  /** A port that must be this one; otherwise the first free one from `defaultPort` on. */
  readonly port: number | undefined;
  readonly defaultPort: number;
  readonly maxFrameBytes: number;
  readonly tls?: Tls | undefined;
  /** Origins of pages that may open sockets, besides our own. */
  readonly allowedOrigins?: readonly string[];
  readonly socketLimits?: Partial<SocketLimits>;
  readonly onConnection: (transport: CoordinatorTransport) => void;
  readonly onViewer?: ((socket: WebSocket) => void) | undefined;
  /** Answers plain HTTP; without it, everybody gets a sentence. */
  readonly answer?: Answer | undefined;
}

export interface Listening {
  readonly port: number;
  /** Bytes over all sockets of workers so far, WebSocket frames and HTTP headers included. */
  traffic(): { readonly bytesSent: number; readonly bytesReceived: number };
  /** Viewers that are connected. */
  viewers(): number;
  /** Closes every socket; those that do not answer are cut. */
  close(): Promise<void>;
}

/** How many ports after the default one are tried. */
const portsTried = 100;
/** Sockets that wait in the kernel, for a room that joins at one moment. */
const backlog = 512;
/** Connections of any kind, those that have not said yet what they want included. */
const maxConnections = 1_024;
/** Whoever has not sent a whole request by then is cut. */
const requestTimeoutMs = 10_000;

export async function listen(options: ListenOptions): Promise<Listening> {
  const { host, tls, maxFrameBytes } = options;
  const sockets = new Set<Socket>();
  const workers = new Set<Socket>();
  const past = { bytesSent: 0, bytesReceived: 0 };
  const checkOrigin = createOriginCheck({
    host,
    secure: tls !== undefined,
    allowed: options.allowedOrigins ?? [],
  });
  const answer = options.answer ?? sayWhatThisIs;
  const http = openServer(tls, (request, response) => {
    const refusal = checkOrigin(request);
    if (refusal === undefined) {
      answer(request, response);
      return;
    }
    response.writeHead(refusal.status, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`${refusal.message}\n`);
  });
  http.maxConnections = maxConnections;
  http.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
  });

  const gate = createGate({ ...defaultSocketLimits, ...options.socketLimits });
  const upgrades = createUpgrades({
    gate,
    checkOrigin,
    maxFrameBytes,
    onViewer: options.onViewer,
    onWorker(webSocket, { socket }) {
      workers.add(socket);
      socket.once('close', () => {
        workers.delete(socket);
        past.bytesSent += socket.bytesWritten;
        past.bytesReceived += socket.bytesRead;
      });
      const remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
      options.onConnection(webSocketTransport(webSocket, { side: 'coordinator', remote, maxFrameBytes }));
    },
  });
  http.on('upgrade', (request, socket, head) => upgrades.upgrade(request, socket, head));

  const port = await listenOn(http, options);
  return {
    port,
    traffic() {
      let { bytesSent, bytesReceived } = past;
      for (const socket of workers) {
        bytesSent += socket.bytesWritten;
        bytesReceived += socket.bytesRead;
      }
      return { bytesSent, bytesReceived };
    },
    viewers: () => gate.counts.viewers,
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

function openServer(tls: Tls | undefined, answer: Answer): Server {
  const bounds = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
  if (tls === undefined) return createServer(bounds, answer);
  return createSecureServer({ ...bounds, key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' }, answer);
}

const sayWhatThisIs: Answer = (_request, response) => {
  response.writeHead(426, { 'content-type': 'text/plain; charset=utf-8', upgrade: 'websocket', connection: 'close' });
  response.end('This is a Lockstep coordinator. Join it with: npm run worker -- --url ws://HOST:PORT\n');
};

async function listenOn(server: Server, { host, port, defaultPort }: ListenOptions): Promise<number> {
  const candidates =
    port === undefined ? Array.from({ length: portsTried }, (_, index) => defaultPort + index) : [port];
  for (const candidate of candidates) {
    const error = await tryPort(server, host, candidate);
    if (error === undefined) return (server.address() as AddressInfo).port;
    switch (error.code) {
      case 'EADDRINUSE':
        break;
      case 'EACCES':
        throw usageFailure(`--port ${candidate}: expected a port that this user may open, got one that is reserved`);
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        throw usageFailure(`--host ${host}: expected an address of this machine, got one that is not`);
      default:
        throw usageFailure(`--host ${host} --port ${candidate}: cannot listen there (${error.message})`);
    }
  }
  throw usageFailure(
    port === undefined
      ? `expected a free port from ${defaultPort} to ${defaultPort + portsTried - 1}, all are in use; name one with --port`
      : `--port ${port}: expected a free port, this one is in use; leave --port out to take the next free one`,
  );
}

async function tryPort(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      server.off('listening', onListening);
      resolve(error);
    };
    const onListening = (): void => {
      server.off('error', onError);
      resolve(undefined);
    };
    server.once('error', onError);
    server.once('listening', onListening);
    server.listen({ host, port, backlog });
  });
}
