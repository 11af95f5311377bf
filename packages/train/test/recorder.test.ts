import type { StepResult } from '@lockstep/compute';
import { type CoordinatorState, planRun } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { Recorder, type RecorderOptions } from '../src/record/recorder.ts';
import type { EpochReport } from '../src/record/report.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

/** 10 samples in batches of 4: steps of 4, 4 and 2. */
const plan = planRun({ samples: 10, batch: 4, epochs: 2 });

const state = { phase: 'training', connections: new Map(), records: new Map() } as unknown as CoordinatorState;

function setUp(options: Partial<RecorderOptions> = {}) {
  let now = 5000;
  let weight = 0;
  const reported: number[] = [];
  const evaluated: number[] = [];
  const stops: string[] = [];
  const recorder = new Recorder({
    plan,
    evaluator: {
      async evaluate(weights, pause) {
        await pause();
        evaluated.push(weights[0]!);
        return { loss: weights[0]! / 10, accuracy: 0.5, r2: null, rmse: null };
      },
      dispose() {},
    },
    targetType: 'classes',
    weights: () => Float32Array.of(weight),
    nowMs: () => now,
    pause: async () => {},
    signal: new AbortController().signal,
    run: () => ({ state, stop: (message) => void stops.push(message) }),
    emit: (event) => event.type === 'epoch' && reported.push(event.epoch),
    ...options,
  });
  return {
    recorder,
    stops,
    evaluated,
    reported,
    wait(durationMs: number) {
      now += durationMs;
    },
    step(result: Pick<StepResult, 'step' | 'loss' | 'correct'>) {
      weight = result.step + 1;
      const count = result.step % 3 === 2 ? 2 : 4;
      recorder.step({ epoch: Math.floor(result.step / 3), count, ...result }, state);
    },
  };
}

/** The final record, without the parts that grow with the steps. */
async function recordOf(recorder: Recorder) {
  const weights = await recorder.finish();
  const { epochs, initialLoss, samples, steps, seconds } = recorder.data;
  return { epochs, initialLoss, samples, steps, seconds, weights };
}

const start = (recorder: Recorder): void => recorder.event({ type: 'started' }, state);

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
    const { recorder, step, wait, evaluated, reported } = setUp();
    wait(700);
    start(recorder);
    for (let index = 0; index < 6; index++) {
      wait(1000);
      step({ step: index, loss: index + 1, correct: index % 3 });
    }
    const records = await recordOf(recorder);
    expect(records.epochs).toEqual([
      {
        epoch: 1,
        trainLoss: (4 * 1 + 4 * 2 + 2 * 3) / 10,
        trainAccuracy: 3 / 10,
        testLoss: expect.closeTo(0.3),
        testAccuracy: 0.5,
        testR2: null,
        testRmse: null,
        seconds: 3,
        imagesPerSecond: 10 / 3,
      },
      {
        epoch: 2,
        trainLoss: (4 * 4 + 4 * 5 + 2 * 6) / 10,
        trainAccuracy: 3 / 10,
        testLoss: expect.closeTo(0.6),
        testAccuracy: 0.5,
        testR2: null,
        testRmse: null,
        seconds: 3,
        imagesPerSecond: 10 / 3,
      },
    ]);
    expect(evaluated).toEqual([3, 6]);
    expect(records.weights).toEqual(Float32Array.of(6));
    expect(reported).toEqual([1, 2]);
    expect(records).toMatchObject({ initialLoss: 1, samples: 20, steps: 6, seconds: 6 });
  });

  it('have no training accuracy if a loss is not finite', async () => {
    const { recorder, step } = setUp();
    start(recorder);
    for (const [index, loss] of [1, Number.POSITIVE_INFINITY, 1].entries()) step({ step: index, loss, correct: 1 });
    expect((await recordOf(recorder)).epochs[0]).toMatchObject({
      trainLoss: Number.POSITIVE_INFINITY,
      trainAccuracy: null,
    });
  });

  it('end with the last step of the run, even in the middle of one', async () => {
    const { recorder, step, evaluated } = setUp({ plan: planRun({ samples: 10, batch: 4, epochs: 2, steps: 4 }) });
    for (let index = 0; index < 4; index++) step({ step: index, loss: 1, correct: 1 });
    const records = await recordOf(recorder);
    expect(records.epochs.map(({ epoch, trainAccuracy }) => [epoch, trainAccuracy])).toEqual([
      [1, 0.3],
      [2, 0.25],
    ]);
    expect(evaluated).toEqual([3, 4]);
  });

  it('end where the run is stopped, even in the middle of one', async () => {
    const { recorder, step, evaluated } = setUp();
    for (let index = 0; index < 4; index++) step({ step: index, loss: 1, correct: 1 });
    const records = await recordOf(recorder);
    expect(records.epochs.map(({ epoch, trainAccuracy }) => [epoch, trainAccuracy])).toEqual([
      [1, 0.3],
      [2, 0.25],
    ]);
    expect(evaluated).toEqual([3, 4]);
  });

  it('have no rate where no time has passed', async () => {
    const { recorder, step } = setUp();
    for (let index = 0; index < 3; index++) step({ step: index, loss: 1, correct: 1 });
    expect(await recordOf(recorder)).toMatchObject({ epochs: [{ seconds: 0, imagesPerSecond: 0 }] });
  });

  it('whose evaluation is aborted are left out, and nothing fails', async () => {
    let resume = (): void => {};
    const interruption = new AbortController();
    const { recorder, step, reported } = setUp({
      signal: interruption.signal,
      pause: () =>
        new Promise((resolve) => {
          resume = resolve;
        }),
    });
    for (let index = 0; index < 6; index++) step({ step: index, loss: 1, correct: 1 });
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
    const { recorder, step } = setUp({ evaluator: { evaluate: () => Promise.reject(failure), dispose() {} } });
    for (let index = 0; index < 3; index++) step({ step: index, loss: 1, correct: 1 });
    await expect(recorder.finish()).rejects.toBe(failure);
  });

  it('of a run without a step are none', async () => {
    const { recorder } = setUp();
    const none = { epochs: [], initialLoss: undefined, samples: 0, steps: 0, seconds: 0 };
    expect(await recordOf(recorder)).toEqual(none);
  });

  it('leave the weights of the end where they have been evaluated there', async () => {
    const { recorder, step } = setUp();
    step({ step: 0, loss: 1, correct: 1 });
    expect((await recordOf(recorder)).weights).toEqual(Float32Array.of(1));
    const interruption = new AbortController();
    const aborted = setUp({ signal: interruption.signal });
    for (let index = 0; index < 4; index++) aborted.step({ step: index, loss: 1, correct: 1 });
    interruption.abort();
    expect((await recordOf(aborted.recorder)).weights).toBeUndefined();
  });

  describe('of a run that goes on', () => {
    /** Without weights, since a process has only those that it has trained. */
    const recordsOf = async (recorder: Recorder) => {
      const { weights: _, ...records } = await recordOf(recorder);
      return records;
    };

    /** Two runs with this number of steps in total, the second from the state of the first; a step takes a second. */
    async function inTwoRuns(cut: number, steps: number, hasEvaluated: boolean) {
      const first = setUp({
        plan: planRun({ samples: 10, batch: 4, epochs: 2, steps: cut }),
        ...(hasEvaluated ? {} : { pause: () => new Promise<void>(() => {}) }),
      });
      const play = ({ step, wait }: ReturnType<typeof setUp>, from: number, to: number): void => {
        for (let index = from; index < to; index++) {
          wait(1000);
          step({ step: index, loss: index + 1, correct: index % 3 });
        }
      };
      play(first, 0, cut);
      if (hasEvaluated) await first.recorder.finish();
      const { progress, unevaluated } = first.recorder.progress();
      const { wire } = sampleCheckpoint.progress;
      const weights = Float32Array.of(cut);
      const resumeFrom = { ...sampleCheckpoint, step: cut, weights, progress: { ...progress, wire }, unevaluated };
      const second = setUp({ plan: planRun({ samples: 10, batch: 4, epochs: 2, steps }), resumeFrom });
      second.wait(5000);
      start(second.recorder);
      second.recorder.evaluatePending();
      play(second, cut, steps);
      return recordsOf(second.recorder);
    }

    const whole = async (steps: number) => {
      const { recorder, step, wait } = setUp({ plan: planRun({ samples: 10, batch: 4, epochs: 2, steps }) });
      for (let index = 0; index < steps; index++) {
        wait(1000);
        step({ step: index, loss: index + 1, correct: index % 3 });
      }
      return recordsOf(recorder);
    };

    it.each([true, false])(
      'are those of one that was not cut off, evaluated before it was: %s',
      async (hasEvaluated) => {
        // A run that stops within an epoch ends that epoch only if no later run continues it.
        for (const [cut, steps] of [
          [1, 6],
          [2, 4],
          [3, 6],
          [4, 4],
          [4, 6],
          [5, 5],
          [6, 6],
        ] as const) {
          expect(await inTwoRuns(cut, steps, hasEvaluated)).toEqual(await whole(steps));
        }
      },
    );
  });
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
    run: () => ({ state: { ...state, phase: 'failed' }, stop: (text) => void stops.push(text) }),
  });
  failed.recorder.stop('program');
  failed.recorder.ended({ type: 'failed', message });
  expect(failed.recorder.data.ending).toEqual({ type: 'failed', message });
  expect(stops).toEqual([message]);
});
