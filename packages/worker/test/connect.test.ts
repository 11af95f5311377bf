import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { connect } from '../src/connection.ts';
import { CoordinatorBusyError } from '../src/membership.ts';

it('counts the bytes of a message that has not come whole', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol });
  await once(server, 'listening');
  server.on('connection', (_socket, { socket }) => {
    // The header of a 4,096-byte frame, and its first 100 bytes.
    socket.write(Buffer.concat([Buffer.of(0x82, 126, 0x10, 0x00), Buffer.alloc(100)]));
  });
  const transport = await connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const messages: unknown[] = [];
  transport.listen({ onMessage: (message) => messages.push(message), onClose() {} });
  await vi.waitFor(() => expect(transport.receivedBytes).toBeGreaterThanOrEqual(104));
  expect(messages).toEqual([]);
  transport.close(1000, '');
  server.close();
});

it.each<[what: string, server: () => Server, message: string]>([
  [
    'accepts the connection and is silent',
    () => createServer(() => {}),
    'a server is there, but did not answer within 5 s',
  ],
  [
    'takes no more connections for a while',
    () =>
      createHttpServer((_request, response) => {
        response.writeHead(429, { 'content-length': 10 }).end('try later\n');
      }),
    'try later',
  ],
])('a server that %s is busy: another attempt may succeed', async (_what, create, message) => {
  const server = create().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const error = await connect(url).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(CoordinatorBusyError);
  expect(error).toHaveProperty('message', message);
  server.close();
});
