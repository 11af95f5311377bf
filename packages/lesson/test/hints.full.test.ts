/** The hints of live runs say what happens. */
import { describe, expect, test } from 'vitest';
import { type LiveCurves, LiveRun, liveSteps } from '../src/index.ts';
import type { LiveSettings } from '../src/live-network.ts';
import { openDigits } from './context.ts';
import { advance, curvesOf, defined, expectVerdict } from './live.ts';

test('a live run on digits generalizes at its default learning rate, and learns nothing at 10', async () => {
  const digits = { data: 'digits', depth: 1, width: 32 } as const;
  await expectVerdict({ ...digits, lr: 10 }, 'learns nothing');
  await expectVerdict(digits, 'generalizes');
});

/** Returns the last accuracy with these settings. */
async function accuracyWith(first: Partial<LiveSettings>, steps = liveSteps): Promise<number> {
  const run = new LiveRun(await openDigits(), defined([], first));
  advance(run, steps);
  const { accuracies } = curvesOf(run)[0]!;
  run.dispose();
  return accuracies.at(-1)!;
}

describe('what the hints say', () => {
  test.each<[string, Partial<LiveSettings>, Partial<LiveSettings>]>([
    ['none against relu', { activation: 'none' }, { activation: 'relu' }],
    [
      'six layers of sigmoid against six of tanh',
      { activation: 'sigmoid', depth: 6 },
      { activation: 'tanh', depth: 6 },
    ],
    ['two neurons against four', { depth: 2, width: 2 }, { depth: 2, width: 4 }],
    ['a learning rate of 3 against 1', { lr: 3 }, { lr: 1 }],
    ['all zero against the default weights', { start: 'all zero', depth: 6 }, { start: 'default', depth: 6 }],
    ['eight layers of 4 neurons against eight of 16', { depth: 8, width: 4 }, { depth: 8, width: 16 }],
  ])('%s', async (_, worse, better) => {
    expect(await accuracyWith(worse)).toBeLessThan(0.9);
    expect(await accuracyWith(better)).toBeGreaterThan(0.98);
  });

  test.each<[string, Partial<LiveSettings>, Partial<LiveSettings>, number]>([
    ['sgd against adam', { lr: 0.01 }, { lr: 0.01, optimizer: 'adam' }, 100],
    ['the squared error from weights ten times as large', { loss: 'squared error', start: 'ten times' }, {}, 500],
    ['hot against temperature 1', { temperature: 50 }, {}, 300],
    ['sgd at 0.001 against 0.1', { lr: 0.001 }, {}, 300],
    ['adam at 0.1 against 0.001', { optimizer: 'adam', lr: 0.1 }, { optimizer: 'adam', lr: 0.001 }, 300],
  ])('on digits: %s', async (_, worse, better, steps) => {
    const digits = { data: 'digits', depth: 1, width: 32 } as const;
    const [low, high] = [
      await accuracyWith({ ...digits, ...worse }, steps),
      await accuracyWith({ ...digits, ...better }, steps),
    ];
    expect(low).toBeLessThan(high - 0.05);
  });
});

/** Returns the curve with these settings after a number of steps. */
async function curveWith(first: Partial<LiveSettings>, steps: number): Promise<LiveCurves['curves'][number]> {
  const run = new LiveRun(await openDigits(), defined([], first));
  advance(run, steps);
  const [curve] = curvesOf(run);
  run.dispose();
  return curve!;
}

describe('what the hints say of a curve', () => {
  const digits = { data: 'digits', depth: 1, width: 32 } as const;

  test('weights of He begin to learn at once, default weights late; with eight layers later still', async () => {
    const lossAt200 = async (first: Partial<LiveSettings>) => (await curveWith(first, 200)).losses.at(-1)!;
    expect(await lossAt200({ depth: 6, start: 'He' })).toBeLessThan(0.05);
    expect(await lossAt200({ depth: 6 })).toBeGreaterThan(0.3);
    expect(await lossAt200({ depth: 8 })).toBeGreaterThan(0.65);
  });

  test('one digit a step makes a ragged curve, 256 a smooth one', async () => {
    const [ragged, smooth] = [1, 256].map(async (batch) => {
      const { losses } = await curveWith({ ...digits, lr: 0.05, batch }, 300);
      const late = losses.slice(20);
      return late.reduce((sum, loss, at) => sum + (at === 0 ? 0 : Math.abs(loss - late[at - 1]!)), 0) / late.length;
    });
    expect(await ragged).toBeGreaterThan(5 * (await smooth!));
  });

  test('at a low temperature the first losses are large', async () => {
    const [cold, usual] = [await curveWith({ temperature: 0.05 }, 5), await curveWith({}, 5)];
    expect(cold.losses[0]).toBeGreaterThan(5 * usual.losses[0]!);
  });

  test('95 % of the test digits can be reached', async () => {
    const { accuracies } = await curveWith({ ...digits, width: 64, optimizer: 'momentum', lr: 0.05 }, 1500);
    expect(Math.max(...accuracies)).toBeGreaterThanOrEqual(0.95);
  });
});
