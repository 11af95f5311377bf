/** When a socket that was asked to close is cut. */
import { describe, expect, it } from 'vitest';
import { cutAtMs } from '../src/guard/closing-time.ts';

const [closedAtMs, heartbeatMs] = [100_000, 2_000];
/** On the slowest link: 10 s. */
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
