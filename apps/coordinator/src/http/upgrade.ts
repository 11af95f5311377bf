/** Turns upgrade requests into sockets of workers and of viewers, or refuses them with a message. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { encode, encodeWatch, subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ConnectionKind, ConnectionLimiter } from './connection-limiter.ts';
import type { OriginCheck } from './origin.ts';

export interface UpgradeOptions {
  readonly limiter: ConnectionLimiter;
  readonly checkOrigin: OriginCheck;
  readonly maxFrameBytes: number;
  readonly onWorker: (socket: WebSocket, request: IncomingMessage) => void;
  readonly onViewer: (socket: WebSocket) => void;
}

/** A viewer sends actions and their token, no more. */
const maxViewerFrameBytes = 4 * 1024;
/** A socket that has not answered a close by then is cut; a frozen worker never answers. */
export const closeTimeoutMs = 1_000;
/** When a client that found the coordinator full may try again. */
const fullRetryMs = 30_000;
/** A client that sends and never reads lets answers pile up: beyond so many frames and bytes its socket is cut. */
const maxQueuedFrames = 4;
const extraQueueBytes = 1024 * 1024;

export function createUpgrades(options: UpgradeOptions) {
  const { limiter, checkOrigin, maxFrameBytes } = options;
  const servers: Readonly<Record<ConnectionKind, WebSocketServer>> = {
    workers: serverOf(subprotocol, maxFrameBytes),
    viewers: serverOf(watchSubprotocol, maxViewerFrameBytes),
  };

  const accept = (kind: ConnectionKind, socket: WebSocket, request: IncomingMessage): void => {
    const release = limiter.acquire(kind, request.socket.remoteAddress ?? 'unknown');
    if (typeof release === 'string') {
      refuse(kind, socket, release);
      return;
    }
    socket.once('close', release);
    if (kind === 'viewers') {
      options.onViewer(socket);
      return;
    }
    const maxQueuedBytes = maxQueuedFrames * maxFrameBytes + extraQueueBytes;
    socket.on('message', () => {
      if (socket.bufferedAmount > maxQueuedBytes) socket.terminate();
    });
    options.onWorker(socket, request);
  };

  return {
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      socket.on('error', () => socket.destroy());
      const refusal = checkOrigin(request);
      if (refusal) {
        rejectUpgrade(socket, refusal.status, refusal.message);
        return;
      }
      const kind = (request.url ?? '/').split('?')[0] === watchPath ? 'viewers' : 'workers';
      servers[kind].handleUpgrade(request, socket, head, (webSocket) => accept(kind, webSocket, request));
    },
    /** Asks every socket to close. */
    close(): void {
      for (const server of Object.values(servers)) {
        for (const client of server.clients) client.close(1001, 'the coordinator ends');
        server.close();
      }
    },
  };
}

function serverOf(protocol: string, maxPayload: number): WebSocketServer {
  const handleProtocols = (offered: Set<string>) => (offered.has(protocol) ? protocol : false);
  // A variable, since the types of ws do not know `closeTimeout` yet.
  const options = {
    noServer: true,
    perMessageDeflate: false,
    maxPayload,
    closeTimeout: closeTimeoutMs,
    handleProtocols,
  };
  return new WebSocketServer(options);
}

/** Refuses in a message of the protocol: a browser hides from a page why an upgrade was rejected. */
function refuse(kind: ConnectionKind, socket: WebSocket, message: string): void {
  socket.on('error', () => {});
  if (kind === 'workers') {
    socket.send(encode({ type: 'refuse', code: 'full', message, retryAfterMs: fullRetryMs }));
  } else {
    socket.send(encodeWatch({ type: 'refused', message }));
  }
  socket.close(1013, message);
}

function rejectUpgrade(socket: Duplex, status: number, message: string): void {
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
