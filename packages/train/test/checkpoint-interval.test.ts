import { parseOptions } from '@lockstep/command';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointClock, intervalText } from '../src/checkpoint/checkpoints.ts';
import { runOptions } from '../src/option-table.ts';
import { defaultInterval } from '../src/options.ts';

describe('--checkpoint-every', () => {
  const { 'checkpoint-every': option } = runOptions;
  const read = (text: string) =>
    parseOptions(runOptions, ['--checkpoint', 'x', `--checkpoint-every=${text}`])['checkpoint-every'];

  it.each([
    ['50', { steps: 50 }, 'every 50 steps'],
    ['1', { steps: 1 }, 'every step'],
    ['5m', { minutes: 5 }, 'every 5 minutes'],
    ['0.5m', { minutes: 0.5 }, 'every 0.5 minutes'],
  ] as const)('takes %s', (text, interval, words) => {
    expect(read(text)).toEqual(interval);
    expect(intervalText(interval)).toBe(words);
  });

  it.each(['', '0', '0m', '-5', '1.5', '5 m', '5s', 'm', '1e3', '99999999999999999999'])('refuses %j', (text) => {
    expect(() => read(text)).toThrow('--checkpoint-every: expected steps like 50, or minutes like 5m, got ');
  });

  it('has the default that help shows', () => {
    expect(read(option.defaultText)).toEqual(defaultInterval);
  });
});

describe('the next copy', () => {
  it('is due when the minutes are over', () => {
    const clock = new CheckpointClock({ minutes: 2 }, 0, 1_000);
    expect(clock.isDue(5_000, 120_999)).toBe(false);
    expect(clock.isDue(5_000, 121_000)).toBe(true);
    clock.copied(5_000, 121_000);
    expect(clock.isDue(9_000, 240_999)).toBe(false);
    expect(clock.isDue(9_000, 241_000)).toBe(true);
  });

  it('is on the disk before N more steps are over, where no write takes twice as long as the one before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 40, max: 500 }),
        fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (steps, growths) => {
          const clock = new CheckpointClock({ steps }, 7, 0);
          let [step, safe, copies, writeSteps] = [7, 7, 0, Math.floor(steps / 10)];
          for (const growth of growths) {
            while (!clock.isDue(step, 0)) step++;
            clock.copied(step, 0);
            const copied = step;
            writeSteps = Math.min(Math.floor(writeSteps * growth), Math.floor(steps / 4));
            step += writeSteps;
            expect(step - safe).toBeLessThanOrEqual(steps);
            safe = copied;
            copies++;
            clock.written(step);
          }
          expect(copies).toBeLessThanOrEqual(1 + (2 * (step - 7)) / steps);
        },
      ),
    );
  });

  it.each([10, 50, 128])(
    'is on the disk before %i more steps are over also where the writes before took no step',
    (steps) => {
      const clock = new CheckpointClock({ steps }, 0, 0);
      const next = (from: number): number => {
        let step = from;
        while (!clock.isDue(step, 0)) step++;
        clock.copied(step, 0);
        return step;
      };
      let safe = 0;
      for (let copies = 0; copies < 5; copies++) {
        safe = next(safe);
        clock.written(safe);
      }
      // Until the copy is on disk, a crash returns the run to the previous copy.
      expect(next(safe) + Math.floor(steps / 10) - safe).toBeLessThanOrEqual(steps);
    },
  );

  it('is due at each step with an interval of one', () => {
    const clock = new CheckpointClock({ steps: 1 }, 0, 0);
    expect(clock.isDue(0, 0)).toBe(false);
    expect(clock.isDue(1, 0)).toBe(true);
  });
});
