import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { connect } from '../src/connect.ts';

it('counts the bytes of a message that has not come whole', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol });
  await once(server, 'listening');
  server.on('connection', (_socket, { socket }) => {
    // The head of a frame of 4,096 bytes, and the first hundred.
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
