/** Live runs: which controls apply from the next step on, and which begin a new curve; and every chapter's run. */
import { describe, expect, test } from 'vitest';
import {
  beginsCurve,
  chapters,
  curveText,
  LiveRun,
  liveSteps,
  type Neurons,
  type Pictures,
  silentNeurons,
  stepsPerPlace,
} from '../src/index.ts';
import { type LiveName, type LiveSettings, liveControls } from '../src/live-network.ts';
import type { Verdict } from '../src/verdict.ts';
import { openContext, openDigits } from './context.ts';
import { advance, curvesOf, defined, expectVerdict } from './live.ts';

/** Returns the curves of two equal runs, one of which changes a setting after `step` steps. */
async function changedAt(step: number, name: LiveName, value: number | string) {
  const context = await openContext();
  return [{}, { [name]: value }].map((change) => {
    const run = new LiveRun(context, defined([name]));
    advance(run, step);
    run.change(change);
    advance(run, 100);
    const curves = curvesOf(run);
    run.dispose();
    return curves;
  });
}

describe('a live run', () => {
  test('gives the same curve for the same settings, to the bit', async () => {
    const context = await openContext();
    const [first, second] = [1, 2].map(() => {
      const run = new LiveRun(context, defined([]));
      advance(run, 200);
      return curvesOf(run);
    });
    expect(first).toEqual(second);
    expect(first![0]!.losses.at(-1)).toBeLessThan(first![0]!.losses[0]!);
  });

  const other: Partial<Record<LiveName, number | string>> = {
    activation: 'tanh',
    optimizer: 'adam',
    lr: 0.3,
    batch: 64,
    temperature: 3,
    loss: 'squared error',
  };

  test.each(Object.entries(other))('takes %s from the next step on', async (name, value) => {
    const [plain, changed] = await changedAt(100, name as LiveName, value);
    const places = 100 / stepsPerPlace;
    expect(changed).toHaveLength(1);
    expect(changed![0]!.losses.slice(0, places)).toEqual(plain![0]!.losses.slice(0, places));
    expect(changed![0]!.losses.slice(places)).not.toEqual(plain![0]!.losses.slice(places));
    expect(changed![0]!.changes).toEqual([{ step: 100, text: `${liveControls[name as LiveName].label} ${value}` }]);
  });

  test.each(Object.keys(liveControls).filter((name) => !Object.hasOwn(other, name)))(
    'begins another curve with another %s, beside the first',
    async (name) => {
      expect(beginsCurve(name)).toBe(true);
      const control = liveControls[name as LiveName];
      const value = control.kind === 'range' ? control.fallback + 1 : control.names[1]!;
      const [plain, changed] = await changedAt(100, name as LiveName, value);
      expect(changed).toHaveLength(2);
      expect(changed![0]!.losses).toEqual(plain![0]!.losses.slice(0, 100 / stepsPerPlace));
      expect(changed![1]!.steps[0]).toBe(stepsPerPlace);
      expect(changed!.map(({ label }) => label)).toEqual([
        `1: ${control.label.toLowerCase()} ${control.fallback}`,
        `2: ${control.label.toLowerCase()} ${value}`,
      ]);
    },
  );

  test('begins another curve if one of two changes does', async () => {
    const run = new LiveRun(await openContext(), defined(['seed', 'lr']));
    advance(run, 100);
    run.change({ seed: 2, lr: 0.3 });
    expect(curvesOf(run)).toHaveLength(2);
  });

  test('keeps what an optimizer knows when only the learning rate changes', async () => {
    const context = await openContext();
    const losses = [0.01, 0.010000001].map((lr) => {
      const run = new LiveRun(context, defined(['lr'], { optimizer: 'momentum', lr: 0.01 }));
      advance(run, 100);
      run.change({ lr });
      advance(run, 100);
      return curvesOf(run)[0]!.losses;
    });
    for (const [place, loss] of losses[0]!.entries()) expect(losses[1]![place]).toBeCloseTo(loss, 3);
  });

  test('shows a slider on its way as one change, and one that comes back as its end', async () => {
    const run = new LiveRun(await openContext(), defined(['lr']));
    advance(run, 50);
    for (const lr of [0.2, 0.3, 0.5]) run.change({ lr });
    expect(curvesOf(run)[0]!.changes).toEqual([{ step: 50, text: 'Learning rate 0.5' }]);
  });

  test('replaces a curve that has hardly begun, and keeps the newest four', async () => {
    const run = new LiveRun(await openContext(), defined(['seed']));
    run.change({ seed: 2 });
    expect(curvesOf(run)).toHaveLength(1);
    for (let seed = 3; seed < 9; seed++) {
      advance(run, 50);
      run.change({ seed });
    }
    expect(curvesOf(run).map(({ label }) => label)).toEqual([5, 6, 7, 8].map((seed, at) => `${at + 1}: seed ${seed}`));
  });

  test('ends after its steps; a change begins another curve then', async () => {
    const run = new LiveRun(await openContext(), defined(['lr'], { width: 2 }));
    while (run.advance());
    expect(curvesOf(run)[0]!.steps.at(-1)).toBe(liveSteps);
    expect(run.advance()).toBe(false);
    run.change({ lr: 0.2 });
    expect(curvesOf(run)).toHaveLength(2);
    expect(run.advance()).toBe(true);
  });

  test.each(['relu', 'tanh'] as const)('has a picture of what every hidden neuron gives, of %s', async (activation) => {
    const run = new LiveRun(await openContext(), defined(['start', 'depth'], { activation, width: 20, depth: 3 }));
    const neuronsOf = (): Neurons => run.exhibits().find((exhibit): exhibit is Neurons => exhibit.kind === 'neurons')!;
    const cells = neuronsOf().rows * neuronsOf().columns;
    const before = neuronsOf();
    advance(run, 100);
    const { layers } = neuronsOf();
    // The first 16 of the 20 neurons.
    expect(layers.map(({ neurons, values }) => [neurons, values.length / cells])).toEqual(
      [20, 20, 20].map((n) => [n, 16]),
    );
    expect(layers[0]!.values).not.toEqual(before.layers[0]!.values);
    for (const { values } of layers) {
      for (let at = 0; at < values.length; at += cells) {
        const own = values.subarray(at, at + cells);
        const sizes = own.map(Math.abs);
        expect([0, 1]).toContain(Math.max(...sizes));
        if (activation === 'relu') expect(Math.min(...own)).toBeGreaterThanOrEqual(0);
      }
    }
    run.change({ depth: 1 });
    expect(neuronsOf().layers).toHaveLength(1);
    run.change({ depth: 1, start: 'all zero' });
    expect(silentNeurons(neuronsOf().layers[0]!.values, cells)).toBe(16);
    run.dispose();
  });

  test('a tanh neuron of the first layer bends along a line: equal values lie on parallels', async () => {
    const run = new LiveRun(await openContext(), defined([], { activation: 'tanh', depth: 1, width: 1 }));
    const neurons = run.exhibits().find((exhibit): exhibit is Neurons => exhibit.kind === 'neurons')!;
    const { columns, rows, layers } = neurons;
    const { values } = layers[0]!;
    // Before tanh, the value grows by the same amount with each column, and with each row.
    const sums = values.map((value) => Math.atanh(Math.max(-0.999, Math.min(0.999, value))));
    const rising = (at: number, next: number): number => Math.sign(sums[next]! - sums[at]!);
    const [across, down] = [rising(0, 1), rising(0, columns)];
    for (let row = 0; row < rows - 1; row++) {
      for (let column = 0; column < columns - 1; column++) {
        const at = row * columns + column;
        expect([0, across]).toContain(rising(at, at + 1));
        expect([0, down]).toContain(rising(at, at + columns));
      }
    }
  });

  test('says that it diverged, and takes no more steps', async () => {
    const run = new LiveRun(await openContext(), defined([], { start: 'ten times', depth: 6 }));
    while (run.advance());
    const [curve] = curvesOf(run);
    expect(curve!.verdict).toBe('diverges');
    expect(curveText(curve!)).toMatch(/^step \d+, loss .*: diverges$/);
    expect(curve!.steps.at(-1)).toBeLessThan(liveSteps);
  });

  test('shows data, untrained answers and their accuracy before the first step', async () => {
    const context = await openDigits();
    for (const [first, kinds] of [
      [{}, ['live-curves', 'plane', 'neurons']],
      [{ data: 'digits', depth: 1, width: 32 }, ['live-curves', 'pictures']],
    ] as const) {
      const run = new LiveRun(context, defined(['lr'], first));
      const exhibits = run.exhibits();
      expect(exhibits.map(({ kind }) => kind)).toEqual(kinds);
      const [curve] = curvesOf(run);
      const classes = kinds.length === 3 ? 2 : 10;
      expect(curve!.untrained.loss).toBeGreaterThan(0.9 * Math.log(classes));
      expect(Math.abs(curve!.untrained.accuracy - 1 / classes)).toBeLessThan(0.2);
      expect(curveText(curve!)).toMatch(/^untrained, loss \d\.\d+, accuracy [\d.]+ %$/);
      expect(curve!.verdict).toBeUndefined();
      const pictures = exhibits.find(({ kind }) => kind === 'pictures') as Pictures | undefined;
      if (pictures) expect(pictures.pictures.map(({ text }) => text[0]).join('')).toBe('7210414959');
      run.dispose();
    }
  });

  test.each<[Partial<LiveSettings>, Verdict]>([
    [{}, 'generalizes'],
    [{ lr: 0.0001 }, 'learns nothing'],
    [{ activation: 'none' }, 'underfits'],
    [{ start: 'all zero', depth: 6 }, 'learns nothing'],
  ])('%j at its end: %s', (first, expected) => expectVerdict(first, expected));

  test('refuses a setting by name', async () => {
    const run = new LiveRun(await openContext(), defined(['lr']));
    expect(() => run.change({ lr: 100 })).toThrow('lr: expected a number from 0.0001 to 10, got 100');
  });
});

const withLive = chapters.filter(({ live }) => live);

test.each(withLive)('$id: its live run trains, and every control changes it', async ({ live }) => {
  const context = await openDigits();
  for (const [name, control] of Object.entries(live!.controls)) {
    const run = new LiveRun(context, live!);
    advance(run, 50);
    const values = control.kind === 'range' ? [control.from, control.to] : control.names;
    run.change({ [name]: values.find((value) => value !== control.fallback)! });
    const curves = curvesOf(run);
    expect(curves.length === 2 || curves[0]!.changes.length === 1, name).toBe(true);
    run.dispose();
  }
});

test('no live run has a control twice, and digits are for the chapters that use them', () => {
  expect(withLive.length).toBeGreaterThanOrEqual(9);
  for (const { id, live, digits } of withLive) {
    expect(live!.fixed['data'] === 'digits', id).toBe(digits !== undefined);
    expect(Object.keys({ ...live!.controls, ...live!.fixed }).sort()).toEqual(Object.keys(liveControls).sort());
  }
});
