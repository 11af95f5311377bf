/** Opens a WebSocket to a coordinator, or says in one sentence why that is not to be. */
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { WebSocket } from 'ws';

/** Weights of a model, with room for the largest that a worker could hold. */
const maxFrameBytes = 512 * 1024 * 1024;
const handshakeTimeoutMs = 5_000;

/** @throws Error with one sentence. */
export async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol, {
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

function reasonOf(error: Error & { readonly code?: string }): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nothing answers there (connection refused)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no machine of that name is known';
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'that machine cannot be reached';
    default:
      return /subprotocol/i.test(error.message)
        ? 'a WebSocket server answers there, but it does not speak lockstep.v1'
        : error.message.replace(/\n[\s\S]*/, '');
  }
}
