/** Turns upgrade requests into sockets of workers and of viewers, or into a sentence that says why not. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { encode, encodeWatch, subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Gate, SocketKind } from './gate.ts';
import type { OriginCheck } from './origin.ts';

export interface UpgradeOptions {
  readonly gate: Gate;
  readonly checkOrigin: OriginCheck;
  readonly maxFrameBytes: number;
  readonly onWorker: (socket: WebSocket, request: IncomingMessage) => void;
  /** Without it, viewers are not let in. */
  readonly onViewer?: ((socket: WebSocket) => void) | undefined;
}

export interface Upgrades {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Asks every socket to close. */
  close(): void;
}

/** Viewers say little: an action and its token. */
const maxViewerFrameBytes = 4 * 1024;
/** What a socket that is closed gets to answer before it is cut. */
export const closeTimeoutMs = 1_000;
/** When to try again where the room is full. */
const fullRetryMs = 30_000;
/** Who sends much and reads nothing piles up answers: more than so many frames' worth and the socket is cut. */
const maxQueuedFrames = 4;
const queueRoomBytes = 1024 * 1024;

export function createUpgrades(options: UpgradeOptions): Upgrades {
  const { gate, checkOrigin, maxFrameBytes } = options;
  const servers: Readonly<Record<SocketKind, WebSocketServer>> = {
    workers: serverOf(subprotocol, maxFrameBytes),
    viewers: serverOf(watchSubprotocol, maxViewerFrameBytes),
  };

  const admit = (kind: SocketKind, socket: WebSocket, request: IncomingMessage): void => {
    cutUnanswered(socket);
    const leave = gate.enter(kind, request.socket.remoteAddress ?? 'unknown');
    if (typeof leave === 'string') {
      turnAway(kind, socket, leave);
      return;
    }
    socket.once('close', leave);
    if (kind === 'viewers') {
      options.onViewer?.(socket);
      return;
    }
    const maxQueuedBytes = maxQueuedFrames * maxFrameBytes + queueRoomBytes;
    socket.on('message', () => {
      if (socket.bufferedAmount > maxQueuedBytes) socket.terminate();
    });
    options.onWorker(socket, request);
  };

  return {
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy());
      const refusal = checkOrigin(request);
      if (refusal) {
        rejectUpgrade(socket, refusal.status, refusal.message);
        return;
      }
      const kind = (request.url ?? '/').split('?')[0] === watchPath ? 'viewers' : 'workers';
      if (kind === 'viewers' && !options.onViewer) {
        rejectUpgrade(socket, 404, 'nothing is shown here');
        return;
      }
      servers[kind].handleUpgrade(request, socket, head, (webSocket) => admit(kind, webSocket, request));
    },
    close() {
      for (const server of Object.values(servers)) {
        for (const client of server.clients) client.close(1001, 'the coordinator ends');
        server.close();
      }
    },
  };
}

function serverOf(protocol: string, maxPayload: number): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });
}

/** As a message of the protocol, since a browser shows a page nothing of an upgrade that was refused. */
function turnAway(kind: SocketKind, socket: WebSocket, message: string): void {
  socket.on('error', () => {});
  if (kind === 'workers') {
    socket.send(encode({ type: 'refuse', code: 'full', message, retryAfterMs: fullRetryMs }));
  } else {
    socket.send(encodeWatch({ type: 'refused', message }));
  }
  socket.close(1013, message);
}

const statusTexts = { 403: 'Forbidden', 404: 'Not Found', 421: 'Misdirected Request' } as const;

function rejectUpgrade(socket: Duplex, status: keyof typeof statusTexts, message: string): void {
  const body = `${message}\n`;
  socket.end(
    [
      `HTTP/1.1 ${status} ${statusTexts[status]}`,
      'content-type: text/plain; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

/** ws waits 30 s for the answer to a close; a worker that is frozen would hold its socket for so long. */
function cutUnanswered(socket: WebSocket): void {
  const close = socket.close.bind(socket);
  socket.close = (code, reason) => {
    close(code, reason);
    setTimeout(() => socket.terminate(), closeTimeoutMs).unref();
  };
}
