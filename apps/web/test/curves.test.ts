/** Checks that curves neither lose nor repeat points, in whatever order they arrive. */
import { bytesOf } from '@lockstep/protocol';
import fc from 'fast-check';
import type uPlot from 'uplot';
import { describe, expect, it } from 'vitest';
import { lossText } from '../src/look/format.ts';
import { verticalAxes } from '../src/view/axes.ts';
import { axisEnd, isOffScale, RunCurves, type WatchedEpoch } from '../src/watch/curves.ts';
import { type EvaluationMessage, RunStore } from '../src/watch/run-store.ts';

function points(from: number, to: number, loss: (step: number) => number): Parameters<RunCurves['add']>[0] {
  const steps = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  return {
    steps: bytesOf(Float32Array.from(steps)),
    seconds: bytesOf(Float32Array.from(steps, (step) => step / 10)),
    losses: bytesOf(Float32Array.from(steps, loss)),
    accuracies: bytesOf(Float32Array.from(steps, (step) => step / 100_000)),
  };
}

const report = (epoch: number): WatchedEpoch => ({
  epoch,
  trainLoss: 0.5,
  trainAccuracy: 0.9,
  testLoss: epoch / 10,
  testAccuracy: 0.9,
  testR2: null,
  testRmse: null,
  seconds: 1,
  imagesPerSecond: 1,
});

const view = (stepsPerEpoch: number, lastStep = Number.POSITIVE_INFINITY) => ({
  axis: 'epoch' as const,
  memory: 40,
  stepsPerEpoch,
  lastStep,
});

describe('curves', () => {
  it('have a value of each step, counted from 0, where there are points', () => {
    const curves = new RunCurves();
    curves.add(points(1, 20, () => 2));
    const { at, smoothTrain, train, test } = curves.ofSteps((step) => 0.1 / (step + 1), { ...view(10), axis: 'step' });
    expect(at).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(smoothTrain).toEqual(at.map((step) => 0.1 / step));
    expect(new Set([...train, ...test])).toEqual(new Set([null]));
    expect(curves.seconds).toBeCloseTo(2, 6);
  });

  it('are off the scale of another run only if they rise above ten times its highest loss', () => {
    const tableOf = (loss: number) => {
      const curves = new RunCurves();
      curves.add(points(1, 20, (step) => loss / step));
      return curves.table('loss', [], view(10));
    };
    const loss = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(loss, loss, (earlier, current) => {
        expect(isOffScale(tableOf(earlier), tableOf(current))).toBe(earlier > 10 * current);
      }),
    );
    // Without a loss of its own, a run has no scale.
    expect(isOffScale(tableOf(1e9), new RunCurves().table('loss', [], view(10)))).toBe(false);
  });

  it('lose the steps that a run takes again, with their epochs and evaluation, and the log stays', () => {
    const store = new RunStore();
    store.apply({ type: 'history', points: points(1, 10, () => 2), epochs: [report(1)], events: ['w7 joined'] });
    store.apply({ type: 'epoch', report: report(2) });
    store.apply({ type: 'evaluation', epoch: 2 } as EvaluationMessage);
    store.apply({ type: 'event', message: 'went back 6 steps' });
    store.apply({ type: 'history', points: points(1, 4, () => 2), epochs: [] });
    const [{ table }] = store.curves('loss', { axis: 'step', memory: 40 }) as [ReturnType<RunStore['curves']>[0]];
    expect(table.at).toEqual([1, 2, 3, 4]);
    expect([store.epochs.value, store.evaluation.value]).toEqual([[], undefined]);
    expect(store.log.value.map(({ text }) => text)).toEqual(['w7 joined', 'went back 6 steps']);
  });

  it('take each step once where history and progress overlap', () => {
    const curves = new RunCurves();
    curves.add(points(1, 20, () => 2));
    curves.add(points(15, 30, () => 2));
    const { at: epochs, train } = curves.table('loss', [], view(10));
    expect(epochs).toEqual(Array.from({ length: 30 }, (_, index) => (index + 1) / 10));
    expect(train.every((value) => value === 2)).toBe(true);
  });

  it('mark the test value of the epoch whose weights are kept', () => {
    const curves = new RunCurves();
    curves.add(points(1, 30, () => 1));
    const reports = [report(1), { ...report(2), testLoss: 0.25 }, report(3)];
    const { at, kept } = curves.table('loss', reports, { ...view(10), keptEpoch: 2 });
    expect(kept.flatMap((value, index) => (value === null ? [] : [[at[index], value]]))).toEqual([[2, 0.25]]);
    expect(new Set(curves.table('loss', reports, view(10)).kept)).toEqual(new Set([null]));
  });

  it('have the validation results of the epochs that have any', () => {
    const curves = new RunCurves();
    curves.add(points(1, 20, () => 1));
    const reports = [{ ...report(1), validation: { loss: 0.75, accuracy: 0.5 } }, report(2)];
    const validated = (kind: 'loss' | 'accuracy') => curves.table(kind, reports, view(10)).validation;
    expect([validated('loss')[9], validated('loss')[19]]).toEqual([0.75, null]);
    expect(validated('accuracy')[9]).toBe(50);
  });

  it('have no point for a test loss that is not finite, of which no axis could show the others', () => {
    const curves = new RunCurves();
    curves.add(points(1, 20, () => 1));
    const diverged = { ...report(2), testLoss: Number.MAX_VALUE };
    const { test } = curves.table('loss', [report(1), diverged], view(10));
    expect([test[9], test[19]]).toEqual([0.1, null]);
    expect([lossText(diverged.testLoss), lossText(2.5), lossText(1e9)]).toEqual(['∞', '2.5000', '1e+9']);
    const accuracies = curves.table('accuracy', [diverged], view(10)).test;
    expect(accuracies[19]).toBe(90);
  });

  it('place test values at the end of their epoch, with or without a training step there', () => {
    const curves = new RunCurves();
    curves.add(points(1, 15, () => 1));
    const table = curves.table('loss', [report(1), report(2)], view(10));
    expect(table.at).toHaveLength(16);
    expect(table.test[9]).toBe(0.1);
    expect(table.train[9]).toBe(1);
    expect([table.at[15], table.test[15], table.train[15]]).toEqual([2, 0.2, null]);
  });

  it('keep the last step, the order and the mean when they are thinned', () => {
    const curves = new RunCurves();
    for (let from = 1; from < 50_000; from += 100) curves.add(points(from, from + 99, (step) => step % 2));
    expect(curves.length).toBeLessThanOrEqual(3_000);
    const { at: epochs, train } = curves.table('loss', [], view(1));
    expect(epochs.at(-1)).toBe(50_000);
    expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
    const mean = train.slice(0, 1_000).reduce<number>((sum, value) => sum + value!, 0) / 1_000;
    expect(mean).toBeCloseTo(0.5, 5);
  });

  it('smooth a constant to itself from the first point on', () => {
    const curves = new RunCurves();
    curves.add(points(1, 500, () => 0.25));
    for (const value of curves.table('loss', [], view(100)).smoothTrain) expect(value).toBeCloseTo(0.25, 10);
  });

  it('place the test of an epoch that is cut short where the run ended', () => {
    const curves = new RunCurves();
    curves.add(points(1, 15, () => 1));
    const { at, test } = curves.table('loss', [report(1), report(2)], view(10, 15));
    expect(at.at(-1)).toBe(1.5);
    expect(test.at(-1)).toBe(0.2);
  });

  it('have as many points of tests as a screen shows, the newest among them, and those that stand stay', () => {
    const curves = new RunCurves();
    curves.add(points(1, 20_000, () => 1));
    const testsOf = (epochs: number): (number | null)[][] => {
      const reports = Array.from({ length: epochs }, (_, index) => report(index + 1));
      const { at, test } = curves.table('loss', reports, view(1));
      return at.map((place, index) => [place, test[index]!]).filter(([, value]) => value !== null);
    };
    const tests = testsOf(20_000);
    expect(tests.length).toBeLessThanOrEqual(3_001);
    expect(tests.at(-1)).toEqual([20_000, 2_000]);
    // Each value belongs to its epoch.
    for (const [place, value] of tests) expect(value).toBe(place! / 10);
    expect(testsOf(20_001).slice(0, -1)).toEqual(tests);
    expect(testsOf(3_000)).toHaveLength(3_000);
  });

  it('stand over steps and seconds as well, tests between two points by their time', () => {
    const curves = new RunCurves();
    curves.add(points(1, 5, () => 1));
    curves.add(points(15, 15, () => 1));
    const tableOver = (axis: 'step' | 'time') => curves.table('loss', [report(1)], { ...view(10), axis });
    expect(tableOver('step').at).toEqual([1, 2, 3, 4, 5, 10, 15]);
    expect(tableOver('time').at[5]).toBeCloseTo(1, 5);
    expect(tableOver('time').test[5]).toBe(0.1);
  });

  it('are shown as they are without a memory, and their newest value is that of the smoothed curve', () => {
    const curves = new RunCurves();
    curves.add(points(1, 50, (step) => step));
    const raw = curves.table('loss', [], { ...view(10), memory: 1 });
    expect(raw.smoothTrain).toEqual(raw.train);
    expect(curves.newest('loss', 40)).toBe(curves.table('loss', [], view(10)).smoothTrain.at(-1));
  });
});

it.each([
  ['epoch', 0.3, 5],
  ['epoch', 5.01, 10],
  ['epoch', 11, 12],
  ['step', 3, 500],
  ['step', 501, 1_000],
  ['step', 1_100, 1_200],
  ['time', 0.2, 1],
  ['time', 90, 90],
] as const)('the %s axis of 1,200 steps in 12 epochs, with a curve up to %d, ends at %d', (axis, newest, end) => {
  expect(axisEnd(axis, newest, { steps: 1_200, stepsPerEpoch: 100 })).toBe(end);
});

describe('a logarithmic axis', () => {
  it('has two to eight short labels, whatever the losses', () => {
    const { scale, axis } = verticalAxes.logarithmic;
    const plot = {} as uPlot;
    const loss = fc.tuple(fc.double({ min: 1, max: 9.9, noNaN: true }), fc.integer({ min: -12, max: 37 }));
    fc.assert(
      fc.property(fc.array(loss, { minLength: 1 }), (parts) => {
        const losses = parts.map(([digits, power]) => digits * 10 ** power);
        const [lowest, highest] = [Math.min(...losses), Math.max(...losses)];
        const [low, high] = scale.range(plot, lowest, highest);
        expect([low <= lowest, high >= highest]).toEqual([true, true]);
        const labels = axis.values(plot, axis.splits(plot, 1, low, high));
        expect(labels.length).toBeGreaterThanOrEqual(2);
        expect(labels.length).toBeLessThanOrEqual(8);
        for (const label of labels) expect(label.length).toBeLessThanOrEqual(6);
      }),
    );
  });

  it.each([
    [2.4, 4.4, ['2', '3', '4', '5']],
    [0.05, 2.3, ['0.05', '0.1', '0.2', '0.5', '1', '2', '5']],
    [2.3, 1.4e34, ['10', '1e6', '1e11', '1e16', '1e21', '1e26', '1e31']],
  ])('of losses from %d to %d is labeled %j', (lowest, highest, labels) => {
    const { scale, axis } = verticalAxes.logarithmic;
    const plot = {} as uPlot;
    const [low, high] = scale.range(plot, lowest, highest);
    expect(axis.values(plot, axis.splits(plot, 1, low, high))).toEqual(labels);
  });
});
