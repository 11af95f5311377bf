/** Listens for workers: one port, WebSocket for them, and a sentence for whoever comes with plain HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { usageFailure } from '@lockstep/command';
import { type CoordinatorTransport, subprotocol, webSocketTransport } from '@lockstep/protocol';
import { type WebSocket, WebSocketServer } from 'ws';

export interface ListenOptions {
  readonly host: string;
  /** A port that must be this one; otherwise the first free one from `defaultPort` on. */
  readonly port: number | undefined;
  readonly defaultPort: number;
  readonly maxFrameBytes: number;
  readonly onConnection: (transport: CoordinatorTransport) => void;
}

export interface Listening {
  readonly port: number;
  /** Bytes over all sockets so far, WebSocket frames and HTTP headers included. */
  traffic(): { readonly bytesSent: number; readonly bytesReceived: number };
  /** Closes every socket; those that do not answer are cut. */
  close(): Promise<void>;
}

/** How many ports after the default one are tried. */
const portsTried = 100;
/** What a worker that is closed gets to answer before its socket is cut. */
const closeTimeoutMs = 1_000;
/** Sockets that wait in the kernel, for a room that joins at one moment. */
const backlog = 512;

export async function listen(options: ListenOptions): Promise<Listening> {
  const sockets = new Set<Socket>();
  const past = { bytesSent: 0, bytesReceived: 0 };
  const http = createServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain; charset=utf-8', upgrade: 'websocket', connection: 'close' });
    response.end('This is a Lockstep coordinator. Join it with: npm run worker -- --url ws://HOST:PORT\n');
  });
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => {
      sockets.delete(socket);
      past.bytesSent += socket.bytesWritten;
      past.bytesReceived += socket.bytesRead;
    });
  });

  const webSockets = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: options.maxFrameBytes,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
  // ws hands on what the HTTP server emits; those are dealt with where it listens.
  webSockets.on('error', () => {});
  webSockets.on('connection', (socket, request) => {
    const remote = `${request.socket.remoteAddress ?? 'unknown'}:${request.socket.remotePort ?? 0}`;
    cutUnanswered(socket);
    const { maxFrameBytes } = options;
    options.onConnection(webSocketTransport(socket, { side: 'coordinator', remote, maxFrameBytes }));
  });

  const port = await listenOn(http, options);
  return {
    port,
    traffic() {
      let { bytesSent, bytesReceived } = past;
      for (const socket of sockets) {
        bytesSent += socket.bytesWritten;
        bytesReceived += socket.bytesRead;
      }
      return { bytesSent, bytesReceived };
    },
    async close() {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      webSockets.close();
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, closeTimeoutMs);
      for (const client of webSockets.clients) client.close(1001, 'the coordinator ends');
      http.closeIdleConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}

/** ws waits 30 s for the answer to a close; a worker that is frozen would hold its socket for so long. */
function cutUnanswered(socket: WebSocket): void {
  const close = socket.close.bind(socket);
  socket.close = (code, reason) => {
    close(code, reason);
    setTimeout(() => socket.terminate(), closeTimeoutMs).unref();
  };
}

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
