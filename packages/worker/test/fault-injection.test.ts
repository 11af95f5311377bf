import type { CoordinatorMessage } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { drain } from '../../compute/test/support.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { FaultInjector } from '../src/answers.ts';

const ping = (sentAtMs: number): CoordinatorMessage => ({ type: 'ping', sentAtMs });

async function runAll(clock: VirtualClock): Promise<void> {
  do await drain();
  while (clock.step());
}

describe('a frozen worker', () => {
  it('defers messages, and delivers them in order when the last freeze is over', async () => {
    const clock = new VirtualClock();
    const delivered: [number, CoordinatorMessage][] = [];
    const faults = new FaultInjector(clock, (message) => delivered.push([clock.nowMs(), message]));
    expect(faults.defers(ping(0))).toBe(false);
    faults.inject('freeze', 100);
    expect(faults.defers(ping(1))).toBe(true);
    clock.after(60, () => {
      faults.inject('freeze', 100);
      expect(faults.defers(ping(2))).toBe(true);
    });
    await runAll(clock);
    expect(delivered).toEqual([
      [160, ping(1)],
      [160, ping(2)],
    ]);
    expect(faults.defers(ping(3))).toBe(false);
  });
});

describe('a slow worker', () => {
  it('takes eight times as long for a shard, and reports that time, until the fault is over', async () => {
    const clock = new VirtualClock();
    const faults = new FaultInjector(clock, () => {});
    const result = { gradient: new Uint8Array(4), lossSum: 1, correct: 0, count: 1, computeMs: 5 };
    faults.inject('slow', 100);
    let computeMs: number | undefined;
    void faults
      .slowed(async () => result)
      .then((slowed) => {
        computeMs = slowed.computeMs;
      });
    await drain();
    expect(computeMs).toBeUndefined();
    await runAll(clock);
    expect([computeMs, clock.nowMs()]).toEqual([40, 35]);
    clock.after(100, () => {});
    await runAll(clock);
    expect(await faults.slowed(async () => result)).toBe(result);
  });
});
