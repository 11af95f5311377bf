/** Bytes over sockets, open and closed, by what an engine's sockets tell of them. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { TrafficCounter } from '../src/http/traffic-counter.ts';

function createConnection() {
  const socket = Object.assign(new EventEmitter(), { bytesWritten: 0, bytesRead: 0 });
  const sent: unknown[][] = [];
  const webSocket = Object.assign(new EventEmitter(), { send: (...args: unknown[]) => void sent.push(args) });
  const addTo = (counter: TrafficCounter): void =>
    counter.add(socket as unknown as Socket, webSocket as unknown as WebSocket);
  return { socket, webSocket, sent, addTo };
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
    const { socket, webSocket, sent, addTo } = createConnection();
    addTo(counter);
    const done = (): void => {};
    webSocket.send(new Uint8Array(7), done);
    webSocket.emit('message', new ArrayBuffer(5));
    expect(sent).toEqual([[new Uint8Array(7), done]]);
    expect(counter.total()).toEqual({ bytesSent: 7, bytesReceived: 5 });
    socket.emit('close');
    expect(counter.total()).toEqual({ bytesSent: 7, bytesReceived: 5 });
  });
});
