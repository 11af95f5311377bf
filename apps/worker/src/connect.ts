/** Opens a WebSocket to a coordinator, or says in one sentence why that is not to be. */
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { reasonOf } from './connection-errors.ts';
import { pinnedCertificate } from './pinned-certificate.ts';

/** Weights of a model, with room for the largest that a worker could hold. */
const maxFrameBytes = 512 * 1024 * 1024;
const handshakeTimeoutMs = 5_000;

/**
 * @param fingerprint SHA-256 in hex of the one certificate to trust, where nobody else vouches for it
 * @throws Error with one sentence.
 */
export async function connect(url: string, fingerprint?: string): Promise<WorkerTransport> {
  const trust = fingerprint === undefined ? {} : await pinnedCertificate(new URL(url), fingerprint);
  const socket = new WebSocket(url, subprotocol, {
    ...trust,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: handshakeTimeoutMs,
    // A mask of zeros keeps to RFC 6455, and ws then skips masking; masks protect caches between browser and server.
    generateMask: (mask) => mask.fill(0),
  });
  const transport = webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      socket.terminate();
      const status = `${response.statusCode} ${response.statusMessage}`;
      reject(new Error(`a server answers there, but it is no Lockstep coordinator (HTTP ${status})`));
    });
    socket.once('error', (error) => reject(new Error(reasonOf(error))));
  });
  return transport;
}
