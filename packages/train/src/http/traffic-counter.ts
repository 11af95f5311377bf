/** Counts the bytes over sockets, WebSocket frames and HTTP headers included. */
import type { Socket } from 'node:net';
import type { Traffic } from '../run/worker-pool.ts';

export class TrafficCounter {
  readonly #open = new Set<Socket>();
  #closedBytesSent = 0;
  #closedBytesReceived = 0;

  add(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#closedBytesSent += socket.bytesWritten;
      this.#closedBytesReceived += socket.bytesRead;
    });
  }

  total(): Traffic {
    let [bytesSent, bytesReceived] = [this.#closedBytesSent, this.#closedBytesReceived];
    for (const socket of this.#open) {
      bytesSent += socket.bytesWritten;
      bytesReceived += socket.bytesRead;
    }
    return { bytesSent, bytesReceived };
  }
}
