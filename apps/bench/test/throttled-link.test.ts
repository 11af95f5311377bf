/** The narrow link of benchmarks: rate, delay and turns in virtual time, and bytes through real sockets. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { VirtualClock } from '@lockstep/sim';
import { systemClock } from '@lockstep/worker';
import { expect, test } from 'vitest';
import { type LaneEnd, LinkLane } from '../src/workloads/link-lane.ts';
import { ThrottledLink } from '../src/workloads/throttled-link.ts';

/** A lane with 100 bytes per millisecond and 20 ms of latency, and what arrives over it, when and at which end. */
function openLane() {
  const clock = new VirtualClock();
  const lane = new LinkLane(clock);
  lane.limit({ bytesPerMs: 100, latencyMs: 20 });
  const arrivals: { readonly name: string; readonly atMs: number; readonly bytes: number }[] = [];
  const endOf = (name: string): LaneEnd => ({
    deliver: (bytes) => void arrivals.push({ name, atMs: clock.nowMs(), bytes: bytes.length }),
    onLeft: () => {},
  });
  const run = (): void => {
    while (clock.step());
  };
  return { lane, arrivals, endOf, run };
}

test('bytes arrive after they have left one after another, and the delay', () => {
  const { lane, arrivals, endOf, run } = openLane();
  lane.send(endOf('a'), new Uint8Array(10_000));
  run();
  expect(arrivals.map(({ atMs }) => Math.round(atMs))).toEqual([61, 102, 120]);
  expect(arrivals.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(10_000);
});

test('connections take turns, and a short message does not wait for a long one', () => {
  const { lane, arrivals, endOf, run } = openLane();
  lane.send(endOf('long'), new Uint8Array(100_000));
  lane.send(endOf('short'), new Uint8Array(100));
  run();
  const place = arrivals.findIndex(({ name }) => name === 'short');
  expect(place).toBeLessThanOrEqual(2);
  expect(arrivals.at(-1)?.atMs).toBeCloseTo(1_001 + 20, 6);
});

test('what a connection had under way is lost when it is gone, and frees the link', () => {
  const { lane, arrivals, endOf, run } = openLane();
  const gone = endOf('gone');
  lane.send(gone, new Uint8Array(100_000));
  lane.send(endOf('other'), new Uint8Array(4_096));
  lane.forget(gone);
  run();
  expect(arrivals.map(({ name }) => name)).toEqual(['other']);
  expect(arrivals[0]!.atMs).toBeLessThan(110);
});

test('sockets get the same bytes through it, in both directions, and its end', async () => {
  const sent = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) & 255);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const got: Buffer[] = [];
    socket.on('data', (bytes) => got.push(bytes)).on('end', () => socket.end(Buffer.concat(got).reverse()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const link = new ThrottledLink(systemClock, (server.address() as { port: number }).port);
  try {
    const client = connect({ port: await link.open(), host: '127.0.0.1', allowHalfOpen: true });
    link.limit({ bytesPerMs: 20_000, latencyMs: 1 });
    client.end(sent);
    const answer = await buffer(client);
    expect(answer.equals(sent.reverse())).toBe(true);
  } finally {
    await link.close();
    server.close();
  }
});
