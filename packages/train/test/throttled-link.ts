/** A narrow link: a TCP proxy with a limited bandwidth in each direction. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as passes } from 'node:timers/promises';

export interface ThrottledLink {
  /** The coordinator's address at the far side of the link. */
  readonly url: string;
  close(): void;
}

/** Duration of one slice of bytes. */
const sliceMs = 20;

/** @param ownPort 0 for any free port */
export async function openThrottledLink(url: string, bytesPerSecond: number, ownPort = 0): Promise<ThrottledLink> {
  const { port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: Number(port) });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      void pass(from, to, (bytesPerSecond * sliceMs) / 1000);
    }
  });
  server.listen(ownPort, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Forwards bytes in slices, and does not read while one is in transit. */
async function pass(from: Socket, to: Socket, sliceBytes: number): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.byteLength; at += sliceBytes) {
        const slice = chunk.subarray(at, at + sliceBytes);
        await passes(sliceMs * (slice.byteLength / sliceBytes));
        if (!to.write(slice)) await once(to, 'drain');
      }
    }
    to.end();
  } catch {
    to.destroy();
  }
}
