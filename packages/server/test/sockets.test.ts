/** A worker's socket on the server: what its guard lets through, when it is cut, and the bytes that it counts. */
import { EventEmitter, once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type Closing, type CoordinatorTransport, encode, subprotocol } from '@lockstep/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { welcome } from '../../worker/test/script.ts';
import { Guesses, newTurnedAwayCounts } from '../src/limiter.ts';
import { cutAtMs, cutInTime, GuardedTransport, TrafficCounter } from '../src/sockets.ts';

describe('the guard of a socket', () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol });
  const clients: WebSocket[] = [];

  afterEach(() => {
    for (const client of clients.splice(0)) client.terminate();
  });

  async function connect() {
    if (server.address() === null) await once(server, 'listening');
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, subprotocol);
    clients.push(client);
    const turnedAway = newTurnedAwayCounts();
    const clock = { nowMs: () => 0, after: () => () => {} };
    const [[webSocket, { socket }]] = await Promise.all([once(server, 'connection'), once(client, 'open')]);
    const transport: CoordinatorTransport = new GuardedTransport(
      { webSocket, socket, address: '127.0.0.1', onWelcome: () => {}, onEnding: () => {} },
      {
        ...{ maxFrameBytes: 2 ** 20, answer: { messages: 1, bytes: 2 ** 20 }, maxQueuedBytes: 2 ** 20 },
        ...{ heartbeatMs: 2_000, clock, token: undefined, guesses: new Guesses(clock), turnedAway },
      },
    );
    const arrivals = new EventEmitter();
    const closing = new Promise<Closing>((resolve) =>
      transport.listen({ onMessage: ({ type }) => void arrivals.emit(type), onClose: resolve }),
    );
    return { client, transport, arrivals, closing, turnedAway };
  }

  it('cuts a worker that reads nothing while weights wait for it', async () => {
    const { client, transport, closing, turnedAway } = await connect();
    client.pause();
    const bytes = new Uint8Array(2 ** 18);
    let closed: Closing | undefined;
    void closing.then((how) => {
      closed = how;
    });
    let mostQueuedBytes = 0;
    // Each turn of the event loop lets the kernel fill its own buffers.
    for (let step = 0; !closed; step++) {
      transport.send({ type: 'weights', step, bytes });
      mostQueuedBytes = Math.max(mostQueuedBytes, transport.bufferedBytes);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(closed).toMatchObject({ code: 1008, by: 'local', reason: expect.stringMatching(/^reads too little: /) });
    expect(mostQueuedBytes).toBeLessThan(2 ** 20 + 2 ** 19);
    expect(turnedAway).toEqual({ ...newTurnedAwayCounts(), flood: 1 });
  });

  it('counts the bytes of a frame that is not complete', async () => {
    const { client, transport } = await connect();
    const before = transport.receivedBytes ?? 0;
    const socket = (client as unknown as { _socket: NodeJS.WritableStream })._socket;
    const header = [0x82, 0xfe, 0x10, 0x00, 0, 0, 0, 0];
    socket.write(Uint8Array.from([...header, ...new Uint8Array(100)]));
    while ((transport.receivedBytes ?? 0) === before) await new Promise((resolve) => setImmediate(resolve));
    expect(transport.receivedBytes).toBe(before + header.length + 100);
  });

  it('takes an answer to every ping', async () => {
    const { client, transport, arrivals, closing } = await connect();
    const welcomed = once(client, 'message');
    transport.send(welcome);
    await welcomed;
    client.on('message', () => client.send(encode({ type: 'pong', sentAtMs: 0 })));
    // Time stands still, so that a worker may send fewer messages that nothing explains.
    for (let answered = 0; answered < 100; answered++) {
      const answer = once(arrivals, 'pong');
      transport.send({ type: 'ping', sentAtMs: 0 });
      expect(await Promise.race([answer, closing])).toEqual([]);
    }
  });

  it('cuts a client that sends pings and no hello', async () => {
    const { client, closing, turnedAway } = await connect();
    for (let ping = 0; ping < 1_000; ping++) client.ping();
    const reason = 'flood: expected hello and nothing else before the welcome, got more';
    expect(await closing).toEqual({ code: 1008, by: 'local', reason });
    expect(turnedAway).toEqual({ ...newTurnedAwayCounts(), flood: 1 });
  });
});

describe('a closing socket', () => {
  const [closedAtMs, heartbeatMs] = [100_000, 2_000];
  /** 10 s on the slowest link. */
  const unreadBytes = 320_000;

  it.each([
    ['has a second if its worker has nothing more to read', 0, 99_999, 101_000],
    ['has a second if its worker has nothing more to read, whatever arrives', 0, 100_900, 101_000],
    ['has the time that the slowest link takes for what is unread', unreadBytes, 110_000, 111_000],
    ['has that time only while its worker shows that it is there', unreadBytes, 101_000, 106_000],
    ['has that time only while its worker was there just before', unreadBytes, 99_000, 104_000],
    ['has a second if its worker was silent for long before', unreadBytes, 90_000, 101_000],
    ['has half a minute at most, whatever its worker says that it has read', 2 ** 40, 129_000, 130_000],
  ])('%s', (_, unread, arrivedAtMs, atMs) => {
    expect(cutAtMs({ closedAtMs, heartbeatMs, unreadBytes: unread, arrivedAtMs })).toBe(atMs);
  });

  /** When a socket with those unread bytes is cut, if bytes arrive at these moments; undefined if it closes first. */
  function cutOf(arrivals: readonly number[], closesAtMs = Number.POSITIVE_INFINITY): number | undefined {
    const clock = new VirtualClock();
    let arrivedAtMs = 0;
    let cut: number | undefined;
    let close = (): void => {};
    const socket = {
      terminate() {
        cut = clock.nowMs();
      },
      once(_: string, listener: () => void) {
        close = listener;
      },
    };
    for (const atMs of arrivals) {
      clock.after(atMs, () => {
        arrivedAtMs = atMs;
      });
    }
    if (Number.isFinite(closesAtMs)) clock.after(closesAtMs, () => close());
    cutInTime(socket as unknown as Parameters<typeof cutInTime>[0], clock, () => ({
      ...{ closedAtMs: 0, unreadBytes, heartbeatMs },
      arrivedAtMs,
    }));
    while (clock.step()) {}
    return cut;
  }

  it.each([
    [[], undefined, 5_000],
    [[2_000, 4_000], undefined, 9_000],
    [[2_000, 4_000, 6_000, 8_000, 10_000], undefined, 11_000],
    [[2_000], 3_000, undefined],
  ])('is cut after the last arrival, unless it has closed by itself: arrivals %j, closed at %s', (...row) => {
    const [arrivals, closesAtMs, cut] = row;
    expect(cutOf(arrivals, closesAtMs)).toBe(cut);
  });
});

describe('traffic', () => {
  it.each([
    ['is what sockets count, including closed ones', true, { bytesSent: 110, bytesReceived: 34 }],
    ['is that of messages if sockets count nothing', false, { bytesSent: 7, bytesReceived: 6 }],
  ])('%s', (_, countsSockets, expected) => {
    const counter = new TrafficCounter(countsSockets);
    const connections = [0, 1].map(() => {
      const socket = Object.assign(new EventEmitter(), { bytesWritten: 0, bytesRead: 0 });
      const transport = { sentBytes: 0, receivedBytes: 0 };
      counter.add(socket as unknown as Socket, transport);
      return { socket, transport };
    });
    const [first, second] = [connections[0]!, connections[1]!];
    Object.assign(first.socket, { bytesWritten: 10, bytesRead: 3 });
    Object.assign(first.transport, { sentBytes: 7, receivedBytes: 5 });
    first.socket.emit('close');
    Object.assign(second.socket, { bytesWritten: 100, bytesRead: 30 });
    const { bytesReceived, bytesSent } = counter.total();
    second.socket.bytesRead += 1;
    second.transport.receivedBytes += 1;
    expect(counter.total()).toEqual({ bytesSent, bytesReceived: bytesReceived + 1 });
    second.socket.emit('close');
    expect(counter.total()).toEqual(expected);
  });
});
