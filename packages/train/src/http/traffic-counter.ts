/** Counts the bytes over sockets: WebSocket frames and HTTP headers included, where the engine's sockets count them. */
import type { Socket } from 'node:net';
import type { Transport } from '@lockstep/protocol';
import type { Traffic } from '../worker-pool.ts';

/** Bun's sockets count nothing once they are WebSockets. */
export const socketsCountBytes = process.versions['bun'] === undefined;

export class TrafficCounter {
  readonly #countsSockets: boolean;
  readonly #open = new Set<() => Traffic>();
  #closed: Traffic = { bytesSent: 0, bytesReceived: 0 };

  /** @param countsSockets whether sockets count their bytes; else those of messages are counted */
  constructor(countsSockets = socketsCountBytes) {
    this.#countsSockets = countsSockets;
  }

  add(socket: Socket, transport: Pick<Transport, 'sentBytes' | 'receivedBytes'>): void {
    const traffic = this.#countsSockets
      ? () => ({ bytesSent: socket.bytesWritten, bytesReceived: socket.bytesRead })
      : () => ({ bytesSent: transport.sentBytes ?? 0, bytesReceived: transport.receivedBytes ?? 0 });
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
