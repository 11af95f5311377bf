/** Counts the bytes over sockets: WebSocket frames and HTTP headers included, where the engine's sockets count them. */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Traffic } from '../run/worker-pool.ts';

/** Bun's sockets count nothing once they are WebSockets. */
export const socketsCountBytes = process.versions['bun'] === undefined;

export class TrafficCounter {
  readonly #socketsCount: boolean;
  readonly #open = new Set<() => Traffic>();
  #closed: Traffic = { bytesSent: 0, bytesReceived: 0 };

  /** @param countsSockets whether sockets count their bytes; else those of messages are counted */
  constructor(countsSockets = socketsCountBytes) {
    this.#socketsCount = countsSockets;
  }

  add(socket: Socket, webSocket: WebSocket): void {
    const traffic = this.#socketsCount
      ? () => ({ bytesSent: socket.bytesWritten, bytesReceived: socket.bytesRead })
      : trafficOfMessages(webSocket);
    this.#open.add(traffic);
    socket.once('close', () => {
      this.#open.delete(traffic);
      this.#closed = sum(this.#closed, traffic());
    });
  }

  total(): Traffic {
    return [...this.#open].reduce((total, traffic) => sum(total, traffic()), this.#closed);
  }
}

function sum(one: Traffic, other: Traffic): Traffic {
  return {
    bytesSent: one.bytesSent + other.bytesSent,
    bytesReceived: one.bytesReceived + other.bytesReceived,
  };
}

function trafficOfMessages(webSocket: WebSocket): () => Traffic {
  let [bytesSent, bytesReceived] = [0, 0];
  webSocket.on('message', (data: ArrayBuffer) => {
    bytesReceived += data.byteLength;
  });
  const send = webSocket.send.bind(webSocket);
  webSocket.send = (data: Uint8Array, ...rest: unknown[]): void => {
    bytesSent += data.byteLength;
    (send as (...args: unknown[]) => void)(data, ...rest);
  };
  return () => ({ bytesSent, bytesReceived });
}
