/** Opens a WebSocket to a coordinator. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { connectionFault } from './connection-errors.ts';
import { pinnedCertificate } from './pinned-certificate.ts';

/** More than the weights of any model that a worker can train. */
const maxFrameBytes = 512 * 1024 * 1024;
const handshakeTimeoutMs = 5_000;

/**
 * @param fingerprint SHA-256 in hex of the only certificate to trust; otherwise certificate authorities are trusted
 * @throws Error with one sentence that says why there is no connection
 */
export async function connect(url: string, fingerprint?: string): Promise<WorkerTransport> {
  const trust = fingerprint === undefined ? {} : await pinnedCertificate(new URL(url), fingerprint);
  const socket = new WebSocket(url, subprotocol, {
    ...trust,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: handshakeTimeoutMs,
    // A mask of zeros is valid (RFC 6455), and ws then skips masking, which only protects caches of browsers' proxies.
    generateMask: (mask) => mask.fill(0),
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
      void rejectionOf(response).then((message) => {
        socket.terminate();
        reject(new Error(message));
      });
    });
    socket.once('error', (error) => reject(new Error(connectionFault(error))));
  });
  return transport;
}

/** Statuses with which a coordinator rejects an upgrade, with one sentence as the body. */
const rejectionStatuses: readonly (number | undefined)[] = [403, 421, 429];
const maxRejectionBytes = 1_024;

/** Why a server did not open a WebSocket: in the words of a coordinator, where it is one. */
async function rejectionOf(response: IncomingMessage): Promise<string> {
  const { statusCode, statusMessage, headers } = response;
  const length = Number(headers['content-length']);
  if (rejectionStatuses.includes(statusCode) && length <= maxRejectionBytes) {
    response.setTimeout(handshakeTimeoutMs, () => response.destroy());
    const sentence = await text(response).catch(() => '');
    if (/^[^\n<>]+\n$/.test(sentence)) return sentence.trimEnd();
  }
  return `a server answers there, but it is no Lockstep coordinator (HTTP ${statusCode} ${statusMessage})`;
}
