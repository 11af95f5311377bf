/** Opens a WebSocket to a coordinator. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { CoordinatorBusyError } from '@lockstep/training';
import { WebSocket } from 'ws';
import { connectionFault } from './connection-errors.ts';
import { pinnedCertificate } from './pinned-certificate.ts';

/** More than the weights of any model that a worker can train. */
const maxFrameBytes = 512 * 1024 * 1024;
const handshakeTimeoutMs = 5_000;
/** The words of ws, which gives this error no code. */
const handshakeTimeoutMessage = 'Opening handshake has timed out';
const silentMessage = `a server is there, but did not answer within ${handshakeTimeoutMs / 1000} s`;

/**
 * @param fingerprint SHA-256 in hex of the only certificate to trust; otherwise certificate authorities are trusted
 * @throws Error with one sentence that says why there is no connection; CoordinatorBusyError if another attempt may succeed
 */
export async function connect(url: string, fingerprint?: string): Promise<WorkerTransport> {
  const trust = fingerprint === undefined ? {} : await pinnedCertificate(new URL(url), fingerprint);
  let isAccepted = false;
  const socket = new WebSocket(url, subprotocol, {
    ...trust,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: handshakeTimeoutMs,
    // A mask of zeros is valid (RFC 6455), and ws then skips masking, which only protects caches of browsers' proxies.
    generateMask: (mask) => mask.fill(0),
    finishRequest(request) {
      request.once('socket', (stream) => {
        stream.once('connect', () => {
          isAccepted = true;
        });
      });
      request.end();
    },
  });
  let stream: Socket | undefined;
  socket.once('upgrade', (response) => {
    stream = response.socket;
  });
  const receivedBytes = (): number => stream?.bytesRead ?? 0;
  const transport = webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes, receivedBytes });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      void rejectionOf(response).then((error) => {
        socket.terminate();
        reject(error);
      });
    });
    socket.once('error', (error) => {
      // The kernel accepts connections for a process that is frozen or busy.
      const isSilent = isAccepted && error.message === handshakeTimeoutMessage;
      reject(isSilent ? new CoordinatorBusyError(silentMessage) : new Error(connectionFault(error)));
    });
  });
  return transport;
}

/** Statuses with which a coordinator rejects an upgrade, with one sentence as the body. */
const rejectionStatuses: readonly (number | undefined)[] = [403, 421, 429];
const maxRejectionBytes = 1_024;

/** Why a server did not open a WebSocket: in the words of a coordinator, if it is one. */
async function rejectionOf(response: IncomingMessage): Promise<Error> {
  const { statusCode, statusMessage, headers } = response;
  const length = Number(headers['content-length']);
  if (rejectionStatuses.includes(statusCode) && length <= maxRejectionBytes) {
    response.setTimeout(handshakeTimeoutMs, () => response.destroy());
    const sentence = await text(response).catch(() => '');
    if (/^[^\n<>]+\n$/.test(sentence)) {
      return statusCode === 429 ? new CoordinatorBusyError(sentence.trimEnd()) : new Error(sentence.trimEnd());
    }
  }
  return new Error(`a server answers there, but it is no Lockstep coordinator (HTTP ${statusCode} ${statusMessage})`);
}
