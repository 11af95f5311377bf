import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../src/system-clock.ts';

afterEach(() => vi.unstubAllGlobals());

const places = [
  ['in Node', () => {}],
  ['in a page, which has no setImmediate', () => vi.stubGlobal('setImmediate', undefined)],
] as const;

describe.each(places)('the next turn %s', (_, enter) => {
  it('comes in order, after the caller is done, and without a timer', async () => {
    enter();
    const timer = vi.fn();
    vi.stubGlobal('setTimeout', timer);
    const calls: string[] = [];
    await new Promise<void>((resolve) => {
      systemClock.after(0, () => calls.push('first'));
      systemClock.after(-1, () => calls.push('second'));
      systemClock.after(0, resolve);
      calls.push('caller');
    });
    expect(calls).toEqual(['caller', 'first', 'second']);
    expect(timer).not.toHaveBeenCalled();
  });

  it('is canceled alone', async () => {
    enter();
    const calls: string[] = [];
    await new Promise<void>((resolve) => {
      const cancel = systemClock.after(0, () => calls.push('canceled'));
      systemClock.after(0, () => calls.push('kept'));
      cancel();
      systemClock.after(0, resolve);
    });
    expect(calls).toEqual(['kept']);
  });
});

describe('a delay', () => {
  it('is a timer, and can be canceled', () => {
    vi.useFakeTimers();
    const [kept, canceled] = [vi.fn(), vi.fn()];
    systemClock.after(5, kept);
    systemClock.after(5, canceled)();
    vi.advanceTimersByTime(4);
    expect(kept).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(kept).toHaveBeenCalledOnce();
    expect(canceled).not.toHaveBeenCalled();
    vi.useRealTimers();
  });
});
