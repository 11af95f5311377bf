import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { LivenessTimer } from '../src/session.ts';

/** Returns when a coordinator whose bytes arrive at these times is taken for dead, in milliseconds. */
function silentAtMs(arrivalsMs: readonly number[]): number | undefined {
  const clock = new VirtualClock();
  const transport = { receivedBytes: 0 };
  let noticedAtMs: number | undefined;
  new LivenessTimer(clock, transport, 16_000, () => {
    noticedAtMs = clock.nowMs();
  });
  for (const atMs of arrivalsMs) clock.after(atMs, () => transport.receivedBytes++);
  while (noticedAtMs === undefined && clock.step());
  return noticedAtMs;
}

describe('a coordinator is taken for dead', () => {
  it('once nothing has come for longer than the patience', () => {
    expect(silentAtMs([])).toBe(18_000);
  });

  it('not while bytes of an unfinished message come, however long that takes', () => {
    const arrivalsMs = Array.from({ length: 20 }, (_, index) => 10_000 * (index + 1));
    expect(silentAtMs(arrivalsMs)).toBe(218_000);
  });
});
