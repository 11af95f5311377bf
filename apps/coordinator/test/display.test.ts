import { stripVTControlCharacters } from 'node:util';
import { durationText, percent, thousands } from '@lockstep/command';
import { classField, scaledField, valueField } from '@lockstep/data';
import type { DataSummary } from '@lockstep/train';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { colorsFor, Display } from '../src/display.ts';

interface Setting {
  readonly isTTY: boolean;
  readonly columns?: number;
  readonly steps?: number;
  readonly stepsPerEpoch?: number;
  readonly isColored?: boolean;
  readonly data?: Partial<DataSummary>;
}

function setUp({ isTTY, columns, steps = 1000, stepsPerEpoch = 500, isColored = false, data = {} }: Setting) {
  let samplesSoFar = 0;
  let now = 1000;
  let written = '';
  const stream = { isTTY, columns, write: (text: string) => (written += text) } as unknown as NodeJS.WriteStream;
  const display = new Display({
    stream,
    colors: pc.createColors(isColored),
    nowMs: () => now,
    steps,
    stepsPerEpoch,
    epochs: Math.ceil(steps / stepsPerEpoch),
    testSamples: 10_000,
    data: { sampleField: scaledField([28, 28, 1]), targetField: classField, outputs: 10, ...data },
  });
  return {
    display,
    wait(durationMs: number) {
      now += durationMs;
    },
    step(step: number, { loss = 0.5, smoothed = Number.NaN, correct = 32, workers = 2 } = {}) {
      const smoothedLoss = Number.isNaN(smoothed) ? loss : smoothed;
      const epoch = 1 + Math.floor(step / stepsPerEpoch);
      samplesSoFar += 64;
      display.step({
        type: 'step',
        step: step + 1,
        epoch,
        samples: 64,
        samplesSoFar,
        loss,
        accuracy: correct / 64,
        smoothedLoss,
        smoothedAccuracy: correct / 64,
        workers,
      });
    },
    /** Returns the text written since the last call. */
    taken(): string {
      const text = written;
      written = '';
      return text;
    },
  };
}

const erase = '\r\x1b[2K';
/** Removes escape sequences, which have no width. */
const visible = (text: string): string => stripVTControlCharacters(text.replaceAll(erase, ''));

/** The line of a terminal after a second, at the 250th step. */
function lineOf(setting: Partial<Setting>): string {
  const { display, step, wait, taken } = setUp({ isTTY: true, ...setting });
  display.started();
  wait(1000);
  step(249);
  return taken();
}

const epochReport = {
  epoch: 1,
  trainLoss: 0.25,
  trainAccuracy: 0.925,
  testLoss: 0.125,
  testAccuracy: 0.95,
  testR2: null,
  testRmse: null,
  seconds: 1.5,
  imagesPerSecond: 40_000,
};

describe('in a terminal', () => {
  it('one line shows the newest step, and is erased before the next', () => {
    const { display, step, wait, taken } = setUp({ isTTY: true, columns: 120 });
    display.started();
    wait(1000);
    step(249);
    expect(taken()).toBe(
      '  ██████░░░░░░ epoch 1/2 · step 250/1000 · 64 images/s · loss 0.5000 · accuracy 50.00 % · 12 min 30 s left · 2 workers',
    );
    wait(1000);
    step(250, { workers: 1 });
    const next = taken();
    expect(next.startsWith(`${erase}  █`)).toBe(true);
    expect(next).toMatch(/1 worker$/);
  });

  it('is redrawn ten times a second at most', () => {
    const { display, step, wait, taken } = setUp({ isTTY: true });
    display.started();
    wait(99);
    step(0);
    expect(taken()).toBe('');
    wait(1);
    step(1);
    expect(taken()).not.toBe('');
    wait(99);
    step(2);
    expect(taken()).toBe('');
  });

  it.each([1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 119, 120, 121, 200])(
    'of %i columns the line never wraps',
    (columns) => {
      const { display, step, wait, taken } = setUp({
        isTTY: true,
        columns,
        steps: 50_000_000,
        stepsPerEpoch: 500_000,
        isColored: true,
      });
      display.started();
      wait(100);
      for (const at of [0, 123_456, 49_999_998]) {
        step(at, { loss: 123.456, workers: 256 });
        expect(visible(taken()).length).toBeLessThan(Math.max(columns, 3));
        wait(100);
      }
    },
  );

  it.each([
    [80, '  ██████░░░░░░ epoch 1/2 · 64 images/s · loss 0.5000 · 12 min 30 s left'],
    [40, '  ██████░░░░░░ 12 min 30 s left'],
  ])('of %i columns it keeps the bar, and omits the least important parts', (columns, line) => {
    expect(lineOf({ columns })).toBe(line);
  });

  it.each([40, 60, 80, 100, 120])('of %i columns no line of an epoch wraps', (columns) => {
    const { display, taken } = setUp({ isTTY: true, columns, steps: 100, stepsPerEpoch: 1, isColored: true });
    display.epoch({ ...epochReport, epoch: 100, seconds: 1234.5, imagesPerSecond: 1_234_567 });
    const line = visible(taken()).trimEnd();
    expect(line.length).toBeLessThan(columns);
    expect(line).toContain('epoch 100/100');
    expect(line.includes('test loss 0.1250, 95.00 %')).toBe(columns >= 60);
    expect(line.includes('1,234,567 images/s')).toBe(columns >= 120);
  });

  it('whose width is not known is taken for 80 columns', () => {
    for (const unknown of [{ columns: 0 }, {}]) expect(lineOf(unknown)).toBe(lineOf({ columns: 80 }));
  });

  it('keeps the pieces of the highest priority on a narrow line', () => {
    const line = lineOf({ columns: 30 });
    expect(line).toContain('12 min 30 s left');
    expect(line).not.toContain('worker');
  });

  it('other lines are printed above it, and it is erased at the end', () => {
    const { display, step, wait, taken } = setUp({ isTTY: true });
    display.started();
    wait(1000);
    step(0);
    const live = taken();
    display.line('w3 joined');
    expect(taken()).toBe(`${erase}w3 joined\n${live}`);
    display.epoch(epochReport);
    const epoch = '  epoch 1/2   train loss 0.2500, 92.50 %   test loss 0.1250, 95.00 %   1.5 s\n';
    expect(taken()).toBe(`${erase}${epoch}${live}`);
    display.end();
    expect(taken()).toBe(erase);
    display.end();
    expect(taken()).toBe('');
  });

  it('it says after the last step what is evaluated, however soon that step came', () => {
    const { display, step, wait, taken } = setUp({ isTTY: true, steps: 2, stepsPerEpoch: 2 });
    display.started();
    wait(1000);
    step(0);
    expect(taken()).toMatch(/ 1 s left$/);
    step(1);
    expect(taken()).toMatch(/ · evaluating on 10,000 images$/);
  });

  it('loss and accuracy are those that the record has smoothed', () => {
    const { display, step, wait, taken } = setUp({ isTTY: true, columns: 200 });
    display.started();
    step(0, { loss: 2, correct: 0 });
    wait(1000);
    step(1, { loss: 1, smoothed: 1.95, correct: 64 });
    expect(taken()).toContain('loss 1.9500 · accuracy 100.00 %');
  });
});

describe('without a terminal', () => {
  it('there are whole lines only, the first after ten seconds', () => {
    const { display, step, wait, taken } = setUp({ isTTY: false });
    display.started();
    wait(9_999);
    step(0);
    expect(taken()).toBe('');
    wait(1);
    step(1);
    expect(taken()).toBe(
      '  epoch 1/2 · step 2/1000 · 13 images/s · loss 0.5000 · accuracy 50.00 % · 1 h 23 min left · 2 workers\n',
    );
    wait(9_999);
    step(2);
    display.end();
    expect(taken()).toBe('');
  });

  it('no escape sequence is written', () => {
    const { display, step, wait, taken } = setUp({ isTTY: false, columns: 20 });
    display.line('Training');
    display.started();
    wait(20_000);
    step(3);
    display.epoch(epochReport);
    display.end();
    expect(taken()).not.toContain('\x1b');
  });
});

describe('of many epochs', () => {
  it.each([
    [20, 20],
    [63, 17],
    [500, 21],
  ])('%d have %d lines, the first and the last among them', (epochs, lines) => {
    const { display, taken } = setUp({ isTTY: false, steps: epochs, stepsPerEpoch: 1 });
    for (let epoch = 1; epoch <= epochs; epoch++) display.epoch({ ...epochReport, epoch });
    const shown = taken().trimEnd().split('\n');
    expect(shown).toHaveLength(lines);
    expect(shown[0]).toContain(`epoch 1/${epochs} `);
    expect(shown.at(-1)).toContain(`epoch ${epochs}/${epochs} `);
  });

  it('one that comes two seconds after the last line has one as well', () => {
    const { display, wait, taken } = setUp({ isTTY: false, steps: 1_000_000, stepsPerEpoch: 1 });
    for (const [epoch, afterMs] of [
      [1, 0],
      [2, 1_999],
      [3, 1],
      [4, 0],
    ] as const) {
      wait(afterMs);
      display.epoch({ ...epochReport, epoch });
    }
    expect(taken().match(/epoch \d+/g)).toEqual(['epoch 1', 'epoch 3']);
  });
});

describe('a model that has diverged', () => {
  it.each([classField, valueField([1])])('of $role has neither loss nor accuracy', (targetField) => {
    const { display, step, wait, taken } = setUp({ isTTY: true, columns: 200, data: { targetField } });
    display.started();
    wait(1000);
    step(0, { loss: Number.NaN });
    expect(taken()).toMatch(/images\/s · loss not finite · /);
    display.epoch({ ...epochReport, testLoss: Number.NaN, testAccuracy: null, testRmse: Number.NaN });
    expect(taken()).toMatch(/train loss 0\.2500, \S+ % {3}test loss not finite {3}1\.5 s/);
  });
});

describe('values', () => {
  it('have the RMSE in their own unit, next to the loss of standardized values', () => {
    const data = {
      targetField: valueField([1]),
      outputs: 1,
      standardization: { mean: 250_000, deviation: 80_000 },
    } as const;
    const { display, taken } = setUp({ isTTY: false, data });
    display.epoch({ ...epochReport, trainAccuracy: null, testAccuracy: null, testRmse: 28_284.2712 });
    expect(taken()).toContain('train loss 0.2500, RMSE 40,000   test loss 0.1250, RMSE 28,280');
    display.epoch({ ...epochReport, trainLoss: 2e31, trainAccuracy: null, testAccuracy: null, testRmse: 1e-7 });
    expect(taken()).toContain('train loss 2e+31, RMSE 3.578e+20   test loss 0.1250, RMSE 1e-7');
  });
});

describe('colors', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [false, { CI: '1' }, false],
    [true, { CI: '1' }, true],
    [true, { TERM: 'dumb' }, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { FORCE_COLOR: '0' }, false],
  ])('on a terminal (%s) with %o: %s', (isTTY, environment, isColored) => {
    expect(colorsFor({ isTTY }, environment).bold('x') !== 'x').toBe(isColored);
  });
});

describe('numbers for people', () => {
  it.each([
    [-3, '0 s'],
    [0, '0 s'],
    [59.4, '59 s'],
    [59.6, '1 min 00 s'],
    [125, '2 min 05 s'],
    [3599, '59 min 59 s'],
    [3600, '1 h 00 min'],
    [9000, '2 h 30 min'],
    [86_399, '23 h 59 min'],
    [86_400, '1 d 00 h'],
    [370_320, '4 d 06 h'],
  ])('%d seconds are %s', (seconds, text) => expect(durationText(seconds)).toBe(text));

  it('are grouped by thousands, and shares are percentages', () => {
    expect([thousands(0), thousands(999.6), thousands(1_234_567)]).toEqual(['0', '1,000', '1,234,567']);
    expect([percent(0), percent(0.97255), percent(1)]).toEqual(['0.00 %', '97.25 %', '100.00 %']);
  });
});
