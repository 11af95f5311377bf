/** The time at which a closing socket is cut. */

import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { cutAtMs, cutInTime } from '../src/site/guarded-transport.ts';

const [closedAtMs, heartbeatMs] = [100_000, 2_000];
/** 10 s on the slowest link. */
const unreadBytes = 320_000;

describe('a socket that closes', () => {
  it('has a second where its worker has nothing more to read', () => {
    const times = { closedAtMs, heartbeatMs, unreadBytes: 0 };
    expect(cutAtMs({ ...times, arrivedAtMs: 99_999 })).toBe(101_000);
    expect(cutAtMs({ ...times, arrivedAtMs: 100_900 })).toBe(101_000);
  });

  it('has the time that the slowest link takes for what is unread, while its worker shows that it is there', () => {
    const times = { closedAtMs, heartbeatMs, unreadBytes };
    expect(cutAtMs({ ...times, arrivedAtMs: 99_000 })).toBe(104_000);
    expect(cutAtMs({ ...times, arrivedAtMs: 101_000 })).toBe(106_000);
    expect(cutAtMs({ ...times, arrivedAtMs: 110_000 })).toBe(111_000);
  });

  it('has a second where its worker was silent for long before', () => {
    expect(cutAtMs({ closedAtMs, heartbeatMs, unreadBytes, arrivedAtMs: 90_000 })).toBe(101_000);
  });

  it('has half a minute at the most, whatever its worker says that it has read', () => {
    const unread = { closedAtMs, heartbeatMs, unreadBytes: 2 ** 40 };
    expect(cutAtMs({ ...unread, arrivedAtMs: 129_000 })).toBe(130_000);
  });
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

describe('the cut', () => {
  it('is put off by each arrival, until the time for what is unread is over', () => {
    expect(cutOf([])).toBe(5_000);
    expect(cutOf([2_000, 4_000])).toBe(9_000);
    expect(cutOf([2_000, 4_000, 6_000, 8_000, 10_000])).toBe(11_000);
  });

  it('is none where the socket has closed by itself', () => {
    expect(cutOf([2_000], 3_000)).toBeUndefined();
  });
});
