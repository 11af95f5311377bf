/** The record of a run: epochs, resumed runs, figures of the steps, ends, and lines for people. */

import type { StepResult } from '@lockstep/compute';
import { classField } from '@lockstep/data';
import type { Evaluator } from '@lockstep/nn';
import { type CoordinatorState, planRun, type RunEvent } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { EventLines } from '../src/events.ts';
import { Recorder, type RecorderOptions } from '../src/recorder.ts';
import type { EpochReport } from '../src/report.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

/** 10 samples in batches of 4: steps of 4, 4 and 2. */
const planOf = (steps?: number) => planRun({ samples: 10, batch: 4, epochs: 2, ...(steps && { steps }) });

const state = { phase: 'training', connections: new Map(), records: new Map() } as unknown as CoordinatorState;

/** A recorder of a run whose weight is the number of steps taken. */
function setUp(options: Partial<RecorderOptions> = {}) {
  let now = 5000;
  let weight = 0;
  const [reported, evaluated]: [number[], number[]] = [[], []];
  const stops: string[] = [];
  const [allowed, finished]: [number[], number[]] = [[], []];
  const run = {
    stop: (message: string) => void stops.push(message),
    allow: (steps: number) => void allowed.push(steps),
    finish: () => void finished.push(weight),
  };
  const recorder = new Recorder({
    plan: planOf(),
    evaluator: {
      async evaluate(weights, pause) {
        await pause();
        evaluated.push(weights[0]!);
        return { loss: weights[0]! / 10, accuracy: 0.5, r2: null, rmse: null };
      },
      dispose() {},
    },
    targetField: classField,
    weights: () => Float32Array.of(weight),
    nowMs: () => now,
    pause: async () => {},
    signal: new AbortController().signal,
    run: () => ({ ...run, state }),
    emit: (event) => event.type === 'epoch' && reported.push(event.epoch),
    ...options,
  });
  const wait = (durationMs: number): void => {
    now += durationMs;
  };
  const step = (result: Pick<StepResult, 'step' | 'loss' | 'correct'>): void => {
    weight = result.step + 1;
    const count = result.step % 3 === 2 ? 2 : 4;
    recorder.step({ epoch: Math.floor(result.step / 3), count, ...result }, state);
  };
  return {
    ...{ recorder, stops, allowed, finished, evaluated, reported, wait, step },
    start: () => recorder.event({ type: 'started' }, state),
    /** Takes steps that last `stepMs`, with a loss of their number and 0, 1 or 2 samples classified correctly. */
    play(from: number, to: number, stepMs = 1000) {
      for (let index = from; index < to; index++) {
        wait(stepMs);
        step({ step: index, loss: index + 1, correct: index % 3 });
      }
    },
  };
}

/** The final record, without the parts that grow with the steps. */
async function recordOf(recorder: Recorder) {
  const weights = await recorder.finish();
  const { epochs, initialLoss, images, steps, seconds } = recorder.data;
  return { epochs, initialLoss, images, steps, seconds, weights };
}

describe('epochs', () => {
  it('of a checkpoint are the newest 100,000', () => {
    const epochs = Array.from({ length: 100_001 }, (_, index) => ({ epoch: index + 1 }) as EpochReport);
    const progress = { ...sampleCheckpoint.progress, epochs };
    const plan = planRun({ samples: 10, batch: 4, epochs: 200_000 });
    const { recorder } = setUp({ plan, resumeFrom: { ...sampleCheckpoint, step: 3 * 100_001, progress } });
    const kept = recorder.progress().progress.epochs;
    expect([kept[0]?.epoch, kept.at(-1)?.epoch]).toEqual([2, 100_001]);
  });

  it('are means over samples, not over steps, and are evaluated with the weights of their last step', async () => {
    const { recorder, start, play, wait, evaluated, reported } = setUp();
    wait(700);
    start();
    play(0, 6);
    const records = await recordOf(recorder);
    const common = { trainAccuracy: 3 / 10, testAccuracy: 0.5, testR2: null, testRmse: null };
    const rates = { seconds: 3, imagesPerSecond: 10 / 3 };
    expect(records.epochs).toEqual([
      { epoch: 1, trainLoss: (4 * 1 + 4 * 2 + 2 * 3) / 10, testLoss: expect.closeTo(0.3), ...common, ...rates },
      { epoch: 2, trainLoss: (4 * 4 + 4 * 5 + 2 * 6) / 10, testLoss: expect.closeTo(0.6), ...common, ...rates },
    ]);
    expect(evaluated).toEqual([3, 6]);
    expect(records.weights).toEqual(Float32Array.of(6));
    expect(reported).toEqual([1, 2]);
    expect(records).toMatchObject({ initialLoss: 1, images: 20, steps: 6, seconds: 6 });
  });

  it('have no training accuracy if a loss is not finite', async () => {
    const { recorder, step, start } = setUp();
    start();
    for (const [index, loss] of [1, Number.POSITIVE_INFINITY, 1].entries()) step({ step: index, loss, correct: 1 });
    const [epoch] = (await recordOf(recorder)).epochs;
    expect(epoch).toMatchObject({ trainLoss: Number.POSITIVE_INFINITY, trainAccuracy: null });
  });

  it.each([
    ['with the last step of the run', 4],
    ['when the run is stopped', undefined],
  ])('end %s, even in the middle of one', async (_when, steps) => {
    const { recorder, step, evaluated } = setUp({ plan: planOf(steps) });
    for (let index = 0; index < 4; index++) step({ step: index, loss: 1, correct: 1 });
    const { epochs } = await recordOf(recorder);
    expect(epochs.map(({ epoch, trainAccuracy }) => [epoch, trainAccuracy])).toEqual([
      [1, 0.3],
      [2, 0.25],
    ]);
    expect(evaluated).toEqual([3, 4]);
  });

  it('whose evaluation is aborted are omitted, and nothing fails', async () => {
    let resume = (): void => {};
    const interruption = new AbortController();
    const pause = () =>
      new Promise<void>((resolve) => {
        resume = resolve;
      });
    const { recorder, play, reported } = setUp({ signal: interruption.signal, pause });
    play(0, 6);
    await Promise.resolve();
    interruption.abort();
    resume();
    // `finish` is called later, when the workers have ended: until then, no rejection may be unhandled.
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
    expect(await recordOf(recorder)).toMatchObject({ epochs: [], steps: 6 });
    expect(reported).toEqual([]);
  });

  it('whose evaluation fails reject `finish`', async () => {
    const failure = new Error('the device is gone');
    const { recorder, play } = setUp({ evaluator: { evaluate: () => Promise.reject(failure), dispose() {} } });
    play(0, 3);
    await expect(recorder.finish()).rejects.toBe(failure);
  });

  it('of a run without a step are none, and have no rate if no time has passed', async () => {
    const none = { epochs: [], initialLoss: null, images: 0, steps: 0, seconds: 0 };
    expect(await recordOf(setUp().recorder)).toEqual(none);
    const { recorder, play } = setUp();
    play(0, 3, 0);
    expect(await recordOf(recorder)).toMatchObject({ epochs: [{ seconds: 0, imagesPerSecond: 0 }] });
  });

  it('are measured with metrics only at the end, and other weights on request', async () => {
    const asked: (readonly [weight: number, hasMetrics: boolean])[] = [];
    const evaluator: Evaluator = {
      async evaluate([weight = 0], _pause, hasMetrics = false) {
        asked.push([weight, hasMetrics]);
        const figures = { loss: 1, accuracy: null, r2: null, rmse: weight };
        return { ...figures, ...(hasMetrics && { metrics: { mae: weight, rmse: weight, r2: null, outputs: [] } }) };
      },
      dispose() {},
    };
    const { recorder, play } = setUp({ evaluator });
    play(0, 6);
    const weights = (await recorder.finish())!;
    expect(await recorder.metricsOf(weights)).toMatchObject({ test: { mae: 6 }, validation: undefined });
    const atTheEnd = [
      [3, false],
      [6, true],
    ];
    expect(asked).toEqual(atTheEnd);
    expect(await recorder.metricsOf(Float32Array.of(3))).toMatchObject({ test: { mae: 3 } });
    expect(asked).toEqual([...atTheEnd, [3, true]]);
  });

  it('leave the weights of the end if they were evaluated', async () => {
    const { recorder, play } = setUp();
    play(0, 1);
    expect((await recordOf(recorder)).weights).toEqual(Float32Array.of(1));
    const interruption = new AbortController();
    const aborted = setUp({ signal: interruption.signal });
    aborted.play(0, 4);
    interruption.abort();
    expect((await recordOf(aborted.recorder)).weights).toBeUndefined();
  });

  /** Without weights, since a process has only those that it has trained. */
  const recordsOf = async (recorder: Recorder) => ({ ...(await recordOf(recorder)), weights: undefined });

  /** Two runs with this number of steps in total, the second from the state of the first; a step takes a second. */
  async function inTwoRuns(cut: number, steps: number, hasEvaluated: boolean) {
    const never = () => new Promise<void>(() => {});
    const first = setUp({ plan: planOf(cut), ...(hasEvaluated ? {} : { pause: never }) });
    first.play(0, cut);
    if (hasEvaluated) await first.recorder.finish();
    const { progress, unevaluated } = first.recorder.progress();
    const { wire } = sampleCheckpoint.progress;
    const weights = Float32Array.of(cut);
    const resumeFrom = { ...sampleCheckpoint, step: cut, weights, progress: { ...progress, wire }, unevaluated };
    const second = setUp({ plan: planOf(steps), resumeFrom });
    second.wait(5000);
    second.start();
    second.recorder.evaluatePending();
    second.play(cut, steps);
    return recordsOf(second.recorder);
  }

  it.each([true, false])(
    'of a run that goes on are those of one that was not interrupted, evaluated before: %s',
    async (hasEvaluated) => {
      // A run that stops within an epoch ends that epoch only if no later run continues it.
      for (const cutAndSteps of ['1 6', '2 4', '3 6', '4 4', '4 6', '5 5', '6 6']) {
        const [cut = 0, steps = 0] = cutAndSteps.split(' ').map(Number);
        const whole = setUp({ plan: planOf(steps) });
        whole.play(0, steps);
        expect(await inTwoRuns(cut, steps, hasEvaluated)).toEqual(await recordsOf(whole.recorder));
      }
    },
  );
});

it('a run that goes back has the figures of one that did not, and says what that cost', async () => {
  for (const [kept, until] of [
    [0, 2],
    [1, 6],
    [3, 4],
    [3, 5],
    [4, 5],
  ] as const) {
    const [undisturbed, disturbed] = [setUp(), setUp()];
    undisturbed.play(0, 6);
    disturbed.play(0, kept);
    disturbed.recorder.keep(kept);
    const lies: Parameters<typeof disturbed.step>[0][] = [];
    for (let step = kept; step < until; step++) lies.push({ step, loss: 100, correct: 4 });
    for (const lie of lies) {
      disturbed.wait(500);
      disturbed.step(lie);
    }
    disturbed.recorder.goBack(kept);
    const worker = new Map([['w7', { id: 'w7', name: 'liar' }]]);
    const event = { type: 'wentBack', workerId: 'w7', from: until, to: kept } as const;
    disturbed.recorder.event(event, { ...state, records: worker } as unknown as CoordinatorState);
    const steps = until - kept === 1 ? '1 step' : `${until - kept} steps`;
    expect(disturbed.recorder.data.lines.at(-1)).toBe(
      `went back ${steps}, to step ${kept}: results of w7 liar were wrong`,
    );
    const seconds = (until - kept) / 2;
    expect(disturbed.recorder.data.rewinds).toEqual([{ worker: 'w7', fromStep: until, toStep: kept, seconds }]);
    disturbed.play(kept, 6);
    const [expected, got] = [await recordOf(undisturbed.recorder), await recordOf(disturbed.recorder)];
    expect(got).toEqual({ ...expected, seconds: expected.seconds + seconds });
    const { loss, accuracy, curve } = undisturbed.recorder.data;
    expect(disturbed.recorder.data).toMatchObject({ loss, accuracy });
    const pointsOf = (data: Recorder['data']) => data.curve.points().map((point) => ({ ...point, seconds: 0 }));
    expect(pointsOf(disturbed.recorder.data)).toEqual(pointsOf({ ...undisturbed.recorder.data, curve }));
  }
});

it('loss and accuracy are smoothed: a twentieth of each new step', () => {
  const { recorder, step } = setUp();
  step({ step: 0, loss: 2, correct: 0 });
  step({ step: 1, loss: 1, correct: 4 });
  expect(recorder.data).toMatchObject({ loss: 1.95, accuracy: 0.05, samplesSoFar: 8 });
});

it('an end on purpose has a code, whatever it says, and nothing stops a run that has ended', () => {
  const { recorder, stops } = setUp();
  recorder.stop('owner');
  const [message = ''] = stops;
  recorder.ended({ type: 'failed', message });
  expect(recorder.data.ending).toEqual({ type: 'stopped', code: 'owner', message });
  const failed = setUp({
    run: () => ({
      ...{ state: { ...state, phase: 'failed' }, stop: (text) => void stops.push(text) },
      ...{ allow: () => {}, finish: () => {} },
    }),
  });
  failed.recorder.stop('program');
  failed.recorder.ended({ type: 'failed', message });
  expect(failed.recorder.data.ending).toEqual({ type: 'failed', message, hasDiverged: false });
  expect(stops).toEqual([message]);
});

it('a worker that is late gets one line, and later one with how often it was late; others keep theirs', () => {
  const workers = ['w1', 'w2'].map((id) => [id, { id, name: `name-${id}`, kind: 'node', backend: 'cpu', threads: 1 }]);
  const known = { records: new Map(workers as [string, unknown][]) } as unknown as CoordinatorState;
  let now = 0;
  const lines = new EventLines(() => now);
  const lineOf = (event: RunEvent) => lines.eventOf(event, known)?.message;
  const late = (workerId: string, step: number) => lineOf({ type: 'late', workerId, step });
  expect(late('w1', 9)).toBe('w1 name-w1 is late with step 10: another worker computes its shard as well');
  for (let step = 10; step < 40; step++) {
    now += 500;
    expect(late('w1', step)).toBeUndefined();
  }
  expect(late('w2', 1)).toMatch(/^w2 name-w2 is late/);
  const left: RunEvent = { type: 'left', workerId: 'w1', message: 'the connection broke' };
  expect([lineOf(left), lineOf(left)]).toEqual(Array(2).fill('w1 name-w1 left: the connection broke'));
  const rejected: RunEvent = { type: 'rejected', workerId: 'w1', message: 'x' };
  expect(lines.eventOf(rejected, known)).toMatchObject({ worker: { id: 'w1' } });
  expect(lineOf({ ...rejected, workerId: undefined })).toBe('closed the connection of an unknown client: x');
  now += 20_000;
  expect(late('w1', 50)).toBe(
    'w1 name-w1 is late with step 51: another worker computes its shard as well (and 30 times more in the last 35 s)',
  );
  expect(late('w1', 51)).toBeUndefined();
  now += 30_000;
  expect(late('w1', 60)).toMatch(/ \(and once more in the last 30 s\)$/);
  now += 30_000;
  expect(late('w1', 70)).toMatch(/computes its shard as well$/);
});
