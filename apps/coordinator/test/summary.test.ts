/** Lines of the terminal other than the display: the summary, how to join through a fleet, and how to resume. */

import { classField, scaledField, valueField } from '@lockstep/data';
import type { DataSummary, Report } from '@lockstep/train';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { fleetJoinLines } from '../src/fleet.ts';
import { resumeCommand } from '../src/run-options.ts';
import { summaryLines } from '../src/summary.ts';

const colors = pc.createColors(false);

const worker = {
  id: 'w1',
  name: 'local-1',
  kind: 'node',
  backend: 'cpu',
  shards: 1500,
  samples: 90,
  computeMs: 2340,
  waitMs: 60,
} as const;

const report: Report = {
  lockstep: '0.1.0',
  startedAt: '2026-01-02T03:04:05.678Z',
  machine: { runtime: 'Node 20.20.2', system: 'Linux 6.12.1 x64', processor: null, cores: 2 },
  data: { name: 'MNIST', sha256: 'bb' },
  config: {
    data: { sampleField: scaledField([28, 28, 1]), targetField: classField, outputs: 10 },
    samples: 60_000,
    testSamples: 10_000,
    seed: 1,
    batch: 128,
    microbatchSize: 32,
    epochs: 1,
    steps: 1500,
    optimizer: { type: 'momentum', learningRate: 0.05, momentum: 0.9 },
    workers: 2,
  },
  model: { name: 'mlp', parameters: 101_770 },
  initialLoss: 2.3,
  epochs: [
    {
      epoch: 1,
      trainLoss: 0.25,
      trainAccuracy: 0.925,
      testLoss: 0.125,
      testAccuracy: 0.9731,
      testR2: null,
      testRmse: null,
      seconds: 6,
      imagesPerSecond: 10_000,
    },
  ],
  metrics: null,
  steps: 1500,
  resumedAtSteps: [],
  rewinds: [],
  wallSeconds: 6.04,
  imagesPerSecond: 31_788.4,
  weightsSha256: '0123456789abcdef'.repeat(4),
  exactness: 'bit-exact',
  numericMode: 'f32-mul-add.v1',
  bitExactAmong: null,
  verified: null,
  workers: [worker, { ...worker, id: 'w2', name: 'a laptop', shards: 7, samples: 10, computeMs: 90, waitMs: 1000 }],
  wire: { bytesSent: 2_000_000_000, bytesReceived: 1_000_000_000 },
  faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
  checked: { shards: 40, of: 200 },
  turnedAway: { silent: 0, hasty: 0, full: 0, token: 0, origin: 0, flood: 0 },
  stepTimes: null,
  curve: [],
};

describe('summary', () => {
  it('shows the accuracy, the workers and the bytes', () => {
    expect(summaryLines(report, colors)).toEqual([
      '',
      'Test accuracy 97.31 % (10,000 images)',
      '1,500 steps in 6.0 s, 31,788 images/s',
      '',
      '    worker    on   shards    share  compute   wait',
      'w1  local-1   cpu   1,500  90.00 %    2.3 s  0.1 s',
      'w2  a laptop  cpu       7  10.00 %    0.1 s  1.0 s',
      '3.00 GB over the wire, 2.00 MB per step',
      '',
      'weights 0123456789abcdef…  bit-exact (f32-mul-add.v1) on any number of workers',
    ]);
  });

  it('has no table of workers if there were none', () => {
    const [faults, config] = [
      { ...report.faults, rejected: 1 },
      { ...report.config, workers: 'single' as const },
    ];
    const single = { ...report, faults, config };
    expect(summaryLines({ ...report, workers: [] }, colors)).toEqual(summaryLines(single, colors));
    expect(summaryLines(single, colors)).toEqual([
      '',
      'Test accuracy 97.31 % (10,000 images)',
      '1,500 steps in 6.0 s, 31,788 images/s',
      expect.stringMatching(/^weights 0123456789abcdef…/),
    ]);
  });

  it.each([
    [0.98514, 11_334.2, 'Test RMSE 11,330, R² 0.9851 (10,000 samples)'],
    [-0.0655, 0.000123456, 'Test RMSE 0.0001235, R² -0.0655 (10,000 samples)'],
    [
      -2.52995e31,
      8.567e17,
      'Test RMSE 8.567e+17, far worse than always predicting the mean; try a smaller learning rate (10,000 samples)',
    ],
  ])('of values with an R² of %d says how good they are', (testR2, testRmse, line) => {
    const epochs = [{ ...report.epochs[0]!, trainAccuracy: null, testAccuracy: null, testR2, testRmse }];
    const data: DataSummary = { sampleField: valueField([2]), targetField: valueField([1]), outputs: 1 };
    expect(summaryLines({ ...report, epochs, config: { ...report.config, data } }, colors)).toContain(line);
  });

  const rates = { precision: 0.75, recall: 0.5, f1: 0.6, rocAuc: 0.875, prAuc: null };
  const ofClass = (name: string, support: number, recall: number) => ({ name, support, ...rates, recall });
  const withClasses = (classes: ReturnType<typeof ofClass>[]): Report => ({
    ...report,
    metrics: { accuracy: 0.97, balancedAccuracy: 0.625, logLoss: 0.1, macro: rates, classes },
  });

  it('omits the last columns of the classes that a narrow terminal has no room for', () => {
    const table = (width: number): string[] => {
      const lines = summaryLines(withClasses([ofClass('yes', 6, 1), ofClass('no', 6, 0.5)]), colors, false, width);
      const start = lines.findIndex((line) => line.startsWith('class'));
      return lines.slice(start, start + 4);
    };
    const whole = table(Number.POSITIVE_INFINITY);
    const [heading] = whole as [string];
    expect(table(heading.length)).toEqual(whole);
    for (const width of [heading.length - 1, 60, 50]) {
      expect(table(width)).toEqual(whole.map((line) => line.slice(0, table(width)[0]!.length).trimEnd()));
      expect(table(width)[0]!.length).toBeLessThanOrEqual(width);
    }
    expect(table(1)[0]).toMatch(/ F1$/);
  });

  it('has a table of the classes, and says what accuracy hides if one class has most samples', () => {
    expect(
      summaryLines(withClasses([ofClass('honest', 388, 1), ofClass('fraud', 12, 0.25)]), colors).slice(0, 10),
    ).toEqual([
      '',
      'Test accuracy 97.31 % (10,000 images)',
      'Imbalanced classes: balanced accuracy 62.50 %, recall of fraud 25.00 % (3 of 12)',
      'To give rare classes more weight in training, use --class-weights balanced.',
      '1,500 steps in 6.0 s, 31,788 images/s',
      '',
      'class          samples  precision  recall      F1  ROC AUC  PR AUC',
      'honest             388     0.7500  1.0000  0.6000   0.8750       -',
      'fraud               12     0.7500  0.2500  0.6000   0.8750       -',
      'macro average      400     0.7500  0.5000  0.6000   0.8750       -',
    ]);
    const balanced = summaryLines(withClasses([ofClass('a', 80, 1), ofClass('b', 20, 1)]), colors);
    expect(balanced.join()).not.toContain('Imbalanced');
  });

  it('has rows for the ten classes with the lowest F1 of many, within 80 columns', () => {
    const classes = Array.from({ length: 21 }, (_, at) => ({ ...ofClass('long '.repeat(9) + at, 1, 1), f1: at / 21 }));
    const lines = summaryLines(withClasses(classes.reverse()), colors);
    const at = lines.indexOf('the 10 of 21 classes with the lowest F1');
    expect(lines.slice(at + 2, at + 13).map((line) => line.slice(53, 59))).toEqual([
      ...Array.from({ length: 10 }, (_, rank) => (rank / 21).toFixed(4)),
      '0.6000',
    ]);
    expect(Math.max(...lines.slice(at, at + 13).map(({ length }) => length))).toBeLessThanOrEqual(80);
  });

  it('has a table of several values, and the absolute error of one', () => {
    const epochs = [{ ...report.epochs[0]!, testAccuracy: null, testR2: 0.9, testRmse: 2 }];
    const output = { name: 'height', mae: 1.5, rmse: 2, r2: 0.9 };
    const single = { ...report, epochs, metrics: { ...output, outputs: [output] } };
    expect(summaryLines(single, colors)[1]).toBe('Test RMSE 2.000, MAE 1.500, R² 0.9000 (10,000 images)');
    const other = { name: 'width', mae: 123.456, rmse: 200, r2: null };
    const several = { ...report, epochs, metrics: { ...output, outputs: [output, other] } };
    expect(summaryLines(several, colors).slice(4, 8)).toEqual([
      'value         MAE   RMSE      R²',
      'height      1.500  2.000  0.9000',
      'width       123.5  200.0       -',
      'all values  1.500  2.000  0.9000',
    ]);
  });

  it('has no accuracy of a model that has diverged', () => {
    const epochs = [{ ...report.epochs[0]!, testLoss: Number.NaN, testAccuracy: null }];
    const [, quality] = summaryLines({ ...report, epochs }, colors);
    expect(quality).toBe('Training diverged: the test loss is not finite; try a smaller learning rate');
  });

  it('leaves it to the failure to say that training has diverged', () => {
    const epochs = [{ ...report.epochs[0]!, testLoss: Number.NaN, testAccuracy: null }];
    const text = (isDivergenceTold: boolean) =>
      summaryLines({ ...report, epochs }, colors, isDivergenceTold).join('\n');
    expect(text(true)).not.toContain('diverged');
    expect(text(false)).toContain('Training diverged');
  });

  it('says what wrong results have cost', () => {
    const rewinds = [
      { worker: 'w3', fromStep: 1_300, toStep: 96, seconds: 3 },
      { worker: 'w5', fromStep: 400, toStep: 390, seconds: 0.5 },
      { worker: 'w3', fromStep: 500, toStep: 490, seconds: 0.5 },
    ];
    expect(summaryLines({ ...report, rewinds }, colors)).toContain(
      'went back 1,224 steps (4.0 s), because results of w3, w5 were wrong',
    );
  });

  it.each([
    ['bit-exact', '; none changed the weights'],
    ['sample-exact', ''],
    ['unverified', ''],
  ] as const)('counts the faults of a run that is %s%s', (exactness, effect) => {
    const faults = { reassigned: 4, duplicated: 3, rejected: 2, disconnects: 1, quarantined: 0 };
    expect(summaryLines({ ...report, exactness, faults }, colors).at(-1)).toBe(
      `disconnects 1, shards reassigned 4, shards duplicated 3, messages rejected 2${effect}`,
    );
  });

  it('does not claim exact bits if numeric modes are mixed', () => {
    const mixed = { ...report, exactness: 'sample-exact' as const, numericMode: null };
    const line = summaryLines(mixed, colors).at(-1);
    expect(line).toContain('sample-exact');
    expect(line).not.toContain('bit-exact');
  });

  it('names the backend whose workers alone give the same bits', () => {
    const webgl = {
      ...report,
      numericMode: 'gpu.js webgl2 on a card, numerics check 0123abcd',
      bitExactAmong: 'webgl',
    };
    const line = summaryLines(webgl, colors).at(-1);
    expect(line).toContain('bit-exact among webgl: ');
    expect(line).not.toContain('f32');
  });

  it('of a run without a step divides by nothing and claims nothing', () => {
    const none = { exactness: null, numericMode: null, epochs: [], steps: 0, wallSeconds: 0, imagesPerSecond: 0 };
    const idle = { ...worker, shards: 0, samples: 0, computeMs: 0, waitMs: 0 };
    const text = summaryLines({ ...report, ...none, workers: [idle] }, colors).join('\n');
    expect(text).toContain('0 steps in 0.0 s, 0 images/s');
    expect(text).toMatch(/^weights 0123456789abcdef… {2}no step was taken$/m);
    expect(text).not.toMatch(/NaN|Infinity|undefined|test images|exact/);
  });
});

const here = 'nats://127.0.0.1:4222';
const away = 'tls://a.example:4222,tls://b.example:4222';
const only =
  'Only this machine can reach ws://x:1: use --host, or --announce behind a proxy, to let other machines join.';
const joinLine = (place: string, run = ''): string =>
  `Join through the fleet: npm run worker -- --fleet ${place}${run}`;

it.each([
  ['NATS here', here, {}, '127.0.0.1', [joinLine(here)]],
  [
    'NATS elsewhere, an address of this machine alone',
    away,
    { run: 'a' },
    '127.0.0.1',
    [joinLine(away, ' --run a'), only],
  ],
  ['an address of the network', away, {}, '0.0.0.0', [joinLine(away)]],
  ['a proxy', away, { announce: 'wss://y' }, 'localhost', [joinLine(away)]],
])('%s', (_title, place, options, host, lines) => {
  expect(fleetJoinLines(place, { run: undefined, announce: undefined, ...options }, { host, url: 'ws://x:1' })).toEqual(
    lines,
  );
});

it.each([
  [['--checkpoint', 'runs/a b'], "--checkpoint 'runs/a b' --resume"],
  [['--resume', '--checkpoint', "it's", '--token=a?b'], "--resume --checkpoint 'it'\\''s' '--token=a?b'"],
  [['--fleet', 'nats://user:p@h:1,tls://u:x@i:2'], '--fleet nats://h:1,tls://i:2'],
  [['--fleet=nats://user:secret@h', '--run', 'x'], '--fleet=nats://h --run x'],
])('%j goes on by %s', (args, expected) => {
  expect(resumeCommand('start', args)).toBe(`npm start -- ${expected}`);
});
