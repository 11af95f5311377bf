import fc from 'fast-check';
import { expect, it } from 'vitest';
import { VirtualClock } from '../src/simulated-process.ts';

const timer = fc.record({ delayMs: fc.nat({ max: 5 }), again: fc.nat({ max: 5 }), isCanceled: fc.boolean() });

it('runs callbacks in the order of their time, then of their scheduling, and none that was canceled', () => {
  fc.assert(
    fc.property(fc.array(timer, { maxLength: 60 }), (timers) => {
      const clock = new VirtualClock();
      const ran: { atMs: number; order: number }[] = [];
      const expected: { atMs: number; order: number }[] = [];
      let scheduled = 0;
      const schedule = (delayMs: number, then?: () => void): (() => void) => {
        scheduled += 1;
        const entry = { atMs: clock.nowMs() + delayMs, order: scheduled };
        const cancel = clock.after(delayMs, () => {
          expect(clock.nowMs()).toBe(entry.atMs);
          ran.push(entry);
          then?.();
        });
        expected.push(entry);
        return () => {
          cancel();
          expected.splice(expected.indexOf(entry), 1);
        };
      };
      const cancels = timers.map(({ delayMs, again }) => schedule(delayMs, () => schedule(again)));
      for (const [index, { isCanceled }] of timers.entries()) if (isCanceled) cancels[index]!();
      while (clock.step());
      expect(ran).toEqual(expected.sort((one, other) => one.atMs - other.atMs || one.order - other.order));
      expect(clock.step()).toBe(false);
    }),
  );
});
