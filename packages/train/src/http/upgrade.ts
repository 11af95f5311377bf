/** Turns upgrade requests into sockets of workers and of viewers, or refuses them with a message. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { type WebSocket, WebSocketServer } from 'ws';

export interface UpgradeOptions {
  readonly maxFrameBytes: number;
  /** Why a request may not go on, undefined where it may. */
  readonly check: (request: IncomingMessage) => { readonly status: number; readonly message: string } | undefined;
  readonly onWorker: (socket: WebSocket, request: IncomingMessage) => void;
  readonly onViewer: (socket: WebSocket, request: IncomingMessage) => void;
}

/** A viewer sends actions and their token, no more. */
const maxViewerFrameBytes = 4 * 1024;
/** Closes sockets that are to be opened anew, at once. */
export const restartCode = 1012;
/** A socket that has not answered a close by then is cut; a frozen worker never answers. */
export const closeTimeoutMs = 1_000;
/** The longest time that a worker gets which has much to read before it. */
export const mostClosingMs = 30_000;

export function createUpgrades({ check, maxFrameBytes, onWorker, onViewer }: UpgradeOptions) {
  const workers = serverOf(subprotocol, maxFrameBytes, mostClosingMs);
  const viewers = serverOf(watchSubprotocol, maxViewerFrameBytes, closeTimeoutMs);
  return {
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      socket.on('error', () => socket.destroy());
      const refusal = check(request);
      if (refusal) {
        rejectUpgrade(socket, refusal.status, refusal.message);
        return;
      }
      const isViewer = (request.url ?? '/').split('?')[0] === watchPath;
      const [server, onSocket] = isViewer ? [viewers, onViewer] : [workers, onWorker];
      server.handleUpgrade(request, socket, head, (webSocket) => onSocket(webSocket, request));
    },
    /** Takes no socket any more, and asks viewers' to close; those of workers are their transports'. */
    close(code: number, reason: string): void {
      for (const viewer of viewers.clients) viewer.close(code, reason);
      for (const server of [workers, viewers]) server.close();
    },
  };
}

function serverOf(protocol: string, maxPayload: number, closeTimeout: number): WebSocketServer {
  const handleProtocols = (offered: Set<string>) => (offered.has(protocol) ? protocol : false);
  // A variable, since the types of ws do not know `closeTimeout` yet.
  const options = {
    noServer: true,
    perMessageDeflate: false,
    maxPayload,
    closeTimeout,
    handleProtocols,
  };
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
