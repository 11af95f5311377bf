/** A connection over a pipe that leads to the server already. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { subprotocol } from '@lockstep/protocol';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { openConnector } from '../src/connector.ts';

/** A server of WebSockets, how many TCP connections came to it, and a connector with a pipe. */
async function connectorWith(pipeTo: (adopt: (pipe: Socket) => void) => Promise<Duplex>) {
  const server = createHttpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = new WebSocketServer({ server, handleProtocols: () => subprotocol });
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
  });
  const seen = { connections: 0 };
  sockets.on('connection', (_socket, { socket }) => {
    seen.connections += socket.localPort === port ? 1 : 0;
  });
  const pipe = await pipeTo((socket) => void server.emit('connection', socket));
  const connector = openConnector(
    `ws://127.0.0.1:${port}`,
    { pipe },
    new AbortController().signal,
    new AbortController(),
  );
  return { connector, seen };
}

/** Two ends of a connection that is not the server's. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  return [near, far];
}

it('only the first one goes over it', async () => {
  const { connector, seen } = await connectorWith(async (adopt) => {
    const [near, far] = await pair();
    adopt(far);
    return near;
  });
  const first = await connector.connect();
  expect(seen.connections).toBe(0);
  first.close(1000, '');
  (await connector.connect()).close(1000, '');
  expect(seen.connections).toBe(1);
});

it('where it leads nowhere any more, the address is taken at once', async () => {
  const { connector, seen } = await connectorWith(async () => {
    const [near, far] = await pair();
    far.destroy();
    return near;
  });
  (await connector.connect()).close(1000, '');
  expect(seen.connections).toBe(1);
});
