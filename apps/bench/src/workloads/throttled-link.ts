/** A TCP proxy that simulates a narrow link: all connections through it share its bandwidth, in each direction. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '@lockstep/protocol';
import { type LaneEnd, LinkLane, type LinkSpeed } from './link-lane.ts';

/** Queued bytes of one connection and direction above which its sender is no longer read. */
const mostWaitingBytes = 64 * 1024;

export class ThrottledLink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes that have left over the link, in both directions, since it was opened. */
  carriedBytes = 0;
  readonly #lanes: { readonly up: LinkLane; readonly down: LinkLane };

  /** @param target port on 127.0.0.1 to forward connections to */
  constructor(clock: Clock, target: number) {
    this.#lanes = { up: new LinkLane(clock), down: new LinkLane(clock) };
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      for (const socket of [near, far]) this.#keep(socket, socket === near ? far : near);
      const onLeft = (byteLength: number): void => {
        this.carriedBytes += byteLength;
      };
      carry(near, far, this.#lanes.up, onLeft);
      carry(far, near, this.#lanes.down, onLeft);
    });
  }

  /** Listens on 127.0.0.1. @returns the port */
  open(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
  }

  /** Narrows the link in both directions; it is unlimited before. */
  limit(speed: LinkSpeed): void {
    this.#lanes.up.limit(speed);
    this.#lanes.down.limit(speed);
  }

  /** Cuts every connection. */
  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #keep(socket: Socket, other: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // Either both directions have ended, or the connection broke.
      if (socket.destroyed && !socket.readableEnded) other.destroy();
    });
  }
}

/** Forwards what one socket sends to the other, including its end. */
function carry(from: Socket, to: Socket, lane: LinkLane, onLeft: (byteLength: number) => void): void {
  let waitingBytes = 0;
  let carriedBytes = 0;
  let hasEnded = false;
  const finish = (): void => {
    if (hasEnded && carriedBytes === 0 && !to.destroyed) to.end();
  };
  const end: LaneEnd = {
    deliver(bytes) {
      carriedBytes -= bytes.length;
      if (!to.destroyed) to.write(bytes);
      finish();
    },
    onLeft(byteLength) {
      onLeft(byteLength);
      waitingBytes -= byteLength;
      if (waitingBytes < mostWaitingBytes) from.resume();
    },
  };
  from.on('data', (bytes) => {
    waitingBytes += bytes.length;
    carriedBytes += bytes.length;
    if (waitingBytes >= mostWaitingBytes) from.pause();
    lane.send(end, bytes);
  });
  from.on('end', () => {
    hasEnded = true;
    finish();
  });
  to.on('close', () => lane.forget(end));
}
