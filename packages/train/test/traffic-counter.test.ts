/** Bytes over sockets, open and closed, by what an engine's sockets report. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { TrafficCounter } from '../src/site/guarded-transport.ts';

function createConnection() {
  const socket = Object.assign(new EventEmitter(), { bytesWritten: 0, bytesRead: 0 });
  const transport = { sentBytes: 0, receivedBytes: 0 };
  const addTo = (counter: TrafficCounter): void => counter.add(socket as unknown as Socket, transport);
  return { socket, transport, addTo };
}

describe('traffic', () => {
  it('is what sockets count, those that have closed included', () => {
    const counter = new TrafficCounter(true);
    const [first, second] = [createConnection(), createConnection()];
    for (const { addTo } of [first, second]) addTo(counter);
    Object.assign(first.socket, { bytesWritten: 10, bytesRead: 3 });
    first.socket.emit('close');
    Object.assign(second.socket, { bytesWritten: 100, bytesRead: 30 });
    expect(counter.total()).toEqual({ bytesSent: 110, bytesReceived: 33 });
    second.socket.bytesRead = 31;
    second.socket.emit('close');
    expect(counter.total()).toEqual({ bytesSent: 110, bytesReceived: 34 });
  });

  it('is that of messages where sockets count nothing', () => {
    const counter = new TrafficCounter(false);
    const { socket, transport, addTo } = createConnection();
    addTo(counter);
    Object.assign(transport, { sentBytes: 7, receivedBytes: 5 });
    expect(counter.total()).toEqual({ bytesSent: 7, bytesReceived: 5 });
    socket.emit('close');
    expect(counter.total()).toEqual({ bytesSent: 7, bytesReceived: 5 });
  });
});
