import { EventEmitter } from 'node:events';
import { decodeWatch, encodeWatch, type ViewerRole, type WatchMessageFrom } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { Guesses, newTurnedAwayCounts } from '../src/limiter.ts';
import { Permission, placeFor, Viewers } from '../src/viewers.ts';

const turnedAway = newTurnedAwayCounts();
/** Nobody needs a token. */
const everybody = { token: undefined, code: undefined, publicView: false, adminToken: 'admin', turnedAway };

type Message = WatchMessageFrom<'coordinator'>;

/** The server's end of a viewer's socket, whose queue drains when the test empties it. */
class FakeSocket extends EventEmitter {
  readyState = 1;
  bufferedAmount = 0;
  reads = true;
  sent: Message[] = [];
  frames: Uint8Array[] = [];
  terminated = false;
  closedWith: number | undefined;

  send(frame: Uint8Array): void {
    this.sent.push(decodeWatch(frame, 'coordinator'));
    this.frames.push(frame);
    if (!this.reads) this.bufferedAmount += frame.byteLength;
  }

  close(code: number): void {
    this.closedWith = code;
  }

  terminate(): void {
    this.terminated = true;
  }
}

describe('a viewer that does not keep up', () => {
  const snapshot: readonly Message[] = [{ type: 'event', message: 'everything' }];
  const large = (step: number): Message => ({ type: 'weights', step, bytes: new Uint8Array(100 * 1024) });

  function setUp() {
    let now = 0;
    const viewers = new Viewers({
      nowMs: () => now,
      snapshot: () => snapshot,
      permission: new Permission({ ...everybody, guesses: new Guesses({ nowMs: () => now, after: () => () => {} }) }),
      turnedAway,
      reply: () => undefined,
    });
    const add = (reads: boolean): FakeSocket => {
      const socket = new FakeSocket();
      socket.reads = reads;
      viewers.add(socket as unknown as WebSocket, { address: 'a', settle: () => {} });
      socket.emit('message', encodeWatch({ type: 'hello' }), true);
      return socket;
    };
    return { viewers, add, wait: (ms: number) => (now += ms) };
  }

  it('costs a bounded number of bytes, and other viewers nothing', () => {
    const { viewers, add } = setUp();
    const [slow, good] = [add(false), add(true)];
    for (let step = 0; step < 1_000; step++) {
      viewers.broadcast(large(step));
      viewers.refresh();
    }
    expect(slow.bufferedAmount).toBeLessThan(400 * 1024);
    expect(slow.sent.length).toBeLessThan(6);
    expect(good.sent).toHaveLength(1_001);
  });

  it('shares the encoded update with all others, and gets none encoded where no viewer keeps up', () => {
    const { viewers, add } = setUp();
    const sockets = Array.from({ length: 200 }, () => add(false));
    const encoded = (): Set<Uint8Array> => new Set(sockets.flatMap(({ frames }) => frames.slice(1)));
    viewers.broadcast(large(0));
    expect(encoded().size).toBe(1);
    for (let step = 1; step < 1_000; step++) viewers.broadcast(large(step));
    expect(viewers.anyKeepsUp).toBe(false);
    expect(encoded().size).toBe(sockets[0]!.frames.length - 1);
    expect(viewers.queuedBytes).toBeLessThan(200 * 400 * 1024);
    // Once all queues have drained, all viewers get the same bytes.
    for (const socket of sockets) socket.bufferedAmount = 0;
    const before = encoded().size;
    viewers.refresh();
    expect(encoded().size).toBe(before + snapshot.length);
  });

  it('gets a snapshot when its queue has drained, and nothing in between', () => {
    const { viewers, add } = setUp();
    const slow = add(false);
    for (let step = 0; step < 5; step++) viewers.broadcast(large(step));
    const before = slow.sent.length;
    slow.bufferedAmount = 10;
    viewers.refresh();
    viewers.broadcast(large(9));
    expect(slow.sent).toHaveLength(before);
    slow.bufferedAmount = 0;
    slow.reads = true;
    viewers.refresh();
    viewers.broadcast(large(10));
    expect(slow.sent.slice(before)).toEqual([...snapshot, large(10)]);
  });

  it('is cut after half a minute, which frees its place', () => {
    const { viewers, add, wait } = setUp();
    const slow = add(false);
    for (let step = 0; step < 5; step++) viewers.broadcast(large(step));
    wait(30_000);
    viewers.refresh();
    expect(slow.terminated).toBe(false);
    wait(1);
    viewers.refresh();
    expect(slow.terminated).toBe(true);
    slow.emit('close');
    expect(viewers.size).toBe(0);
  });
});

describe('a place to watch from', () => {
  const limits = { total: 4, perAddress: 3 };
  const viewer = (address: string, role: ViewerRole = 'guest') => ({ role, address });

  it('is free while there are some, but not for more from one address than it may have', () => {
    const viewers = [viewer('a'), viewer('a'), viewer('a')];
    expect(placeFor(viewers, 'guest', 'b', limits)).toEqual({ type: 'free' });
    const message = 'the coordinator is full: no more than 3 viewers from one address may be connected';
    expect(placeFor(viewers, 'guest', 'a', limits)).toEqual({ type: 'full', message });
  });

  it('is taken from the oldest guest of the address that has most, for an owner or for an address that has fewer', () => {
    const oldest = viewer('a');
    const viewers = [viewer('b'), viewer('a', 'owner'), oldest, viewer('a')];
    expect(placeFor(viewers, 'owner', 'a', limits)).toEqual({ type: 'taken', from: oldest });
    expect(placeFor(viewers, 'guest', 'c', limits)).toEqual({ type: 'taken', from: oldest });
    // Replacing a viewer would only change which address has most.
    expect(placeFor(viewers, 'guest', 'b', limits)).toMatchObject({ type: 'full' });
  });

  it('is taken from no owner', () => {
    const viewers = Array.from({ length: 4 }, () => viewer('a', 'owner'));
    const message = 'the coordinator is full: no more than 4 viewers may be connected';
    expect(placeFor(viewers, 'owner', 'a', limits)).toEqual({ type: 'full', message });
  });
});
