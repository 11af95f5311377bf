/** Opens the browser's WebSocket to a coordinator as a worker's transport. */
import { subprotocol, type WebSocketLike, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';

/** Room for the weights of the largest model that a tab can hold. */
const maxFrameBytes = 512 * 1024 * 1024;

/** @throws Error without a cause: a browser does not tell a script why a connection failed. */
export async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  const transport = webSocketTransport(socket as WebSocketLike, { side: 'worker', remote: url, maxFrameBytes });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error('no connection to the coordinator')), { once: true });
  });
  return transport;
}
