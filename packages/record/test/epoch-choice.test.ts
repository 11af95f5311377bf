/**
 * A run keeps and writes what its weights alone determine, whenever they are evaluated, and whenever the run is
 * interrupted or goes back.
 */
import { classField } from '@lockstep/data';
import type { Evaluation } from '@lockstep/nn';
import { type CoordinatorState, planRun } from '@lockstep/rules';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../src/checkpoint.ts';
import { EpochChoice, earlyStopText, keptText, type ValidationConfig } from '../src/epoch-choice.ts';
import { Recorder } from '../src/recorder.ts';
import { sha256 } from '../src/sha256.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

const evaluationOf = (loss: number): Evaluation => ({ loss, accuracy: 1 - loss, r2: null, rmse: null });

/** Judges one epoch after another; the weights are the number of the epoch. */
function judged(config: Partial<ValidationConfig>, losses: readonly number[]): EpochChoice {
  const choice = new EpochChoice({ samples: 5, monitor: 'loss', keep: 'best', ...config });
  for (const [index, loss] of losses.entries()) {
    const epoch = index + 1;
    const weights = Float32Array.of(epoch);
    choice.judge({ epoch, step: 3 * epoch, isCutShort: false, evaluation: evaluationOf(loss), weights });
    choice.endEpoch(epoch, weights);
    if (choice.lastEpoch !== undefined) break;
  }
  return choice;
}

describe('the kept epoch', () => {
  it.each<[string, Partial<ValidationConfig>, number[], kept: number | undefined, last: number | undefined]>([
    ['has the lowest loss', {}, [3, 1, 2], 2, undefined],
    ['has the highest accuracy', { monitor: 'accuracy' }, [0.3, 0.1, 0.2], 2, undefined],
    ['is the first of equal ones', {}, [2, 1, 1], 2, undefined],
    ['is never one that has diverged', {}, [Number.NaN, 2, Number.POSITIVE_INFINITY], 2, undefined],
    ['is none if all have diverged', {}, [Number.NaN, Number.NaN], undefined, undefined],
    ['is the best before patience ran out', { patience: 2 }, [3, 1, 2, 1, 0], 2, 4],
    ['is improved within patience', { patience: 2 }, [3, 4, 2, 4, 1], 5, undefined],
    ['is the last one if all have diverged', { patience: 2 }, [Number.NaN, Number.NaN, 1], undefined, 2],
    ['is the last one without --keep best', { keep: 'last', patience: 2 }, [3, 1, 2, 2, 0], undefined, 4],
  ])('%s', (_, config, losses, kept, last) => {
    const choice = judged(config, losses);
    expect([choice.kept?.epoch, choice.kept?.step, choice.lastEpoch]).toEqual([kept, kept && 3 * kept, last]);
    expect(choice.weights?.[0]).toBe(kept ?? last);
  });
});

it('the choice is told in a sentence', () => {
  expect(keptText({ epoch: 7, step: 70, monitor: 'loss', value: 0.31234 }, 20)).toBe(
    'Kept epoch 7 of 20 (best validation loss 0.3123)',
  );
  expect(keptText({ epoch: 1, step: 10, monitor: 'accuracy', value: 0.9725 }, 1)).toBe(
    'Kept epoch 1 of 1 (best validation accuracy 97.25 %)',
  );
  const config = { samples: 5, monitor: 'loss', keep: 'best' } as const;
  expect(earlyStopText(12, { ...config, patience: 5 })).toBe(
    'Stopped early after epoch 12: validation loss has not improved for 5 epochs',
  );
  expect(earlyStopText(2, { ...config, patience: 1 })).toMatch(/for 1 epoch$/);
});

const stepsPerEpoch = 3;
const plan = planRun({ samples: 10, batch: 4, epochs: 9, steps: 26 });

/** Draws what happens next. */
type Draw = (below: number) => number;

interface Played {
  readonly losses: readonly number[];
  readonly config: ValidationConfig;
  /** Steps from one text to the next; 0 if the model writes none. */
  readonly sampleEvery: number;
}

/**
 * Plays a run from a checkpoint, or from its beginning; steps and evaluations take turns as drawn. A run that goes back
 * takes some steps with wrong results first, whose weights are not whole numbers and seem better than all others.
 * @returns the end of the run, or its checkpoint if it is interrupted
 */
async function play(
  { losses, config, sampleEvery }: Played,
  draw: Draw,
  { from, isCut = false, goesBack = false }: { from?: Checkpoint; isCut?: boolean; goesBack?: boolean } = {},
) {
  let step = from?.step ?? 0;
  /** The step to go back to, while results are wrong. */
  let wrongFrom: number | undefined;
  let allowed = Number.POSITIVE_INFINITY;
  let hasEnded = (from?.choice?.lastEpoch ?? null) !== null;
  let evaluateNext = (): void => {};
  const lossOf = ([weight = 0]: Float32Array): number =>
    Number.isInteger(weight) ? losses[Math.ceil(weight / stepsPerEpoch) - 1]! : -weight;
  const validation = {
    config,
    evaluator: { evaluate: async (weights: Float32Array) => evaluationOf(lossOf(weights)), dispose() {} },
  };
  const asked = (): Promise<void> =>
    new Promise((resolve) => {
      evaluateNext = resolve;
    });
  const evaluator = {
    evaluate: async () => {
      await asked();
      return evaluationOf(0.5);
    },
    dispose() {},
  };
  const writer = {
    async evaluate(weights: Float32Array) {
      await asked();
      return { ...evaluationOf(lossOf(weights)), text: `after ${weights[0]} steps` };
    },
    dispose() {},
  };
  const state = { phase: 'training', connections: new Map(), records: new Map() } as unknown as CoordinatorState;
  const recorder = new Recorder({
    ...{ plan, evaluator, validation, targetField: classField, resumeFrom: from },
    writing: sampleEvery > 0 ? { writer, prompt: '', every: sampleEvery } : undefined,
    weights: () => Float32Array.of(wrongFrom === undefined ? step : step + 0.5),
    run: () => ({
      state,
      stop() {},
      allow(steps) {
        allowed = steps;
      },
      finish() {
        hasEnded = true;
      },
    }),
    nowMs: () => 0,
    pause: async () => {},
    signal: new AbortController().signal,
    emit() {},
  });
  recorder.limitSteps();
  recorder.evaluatePending();
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  for (let cut = isCut ? draw(60) : Number.POSITIVE_INFINITY; !hasEnded && step < plan.steps; cut--) {
    if (cut <= 0) {
      const { progress, ...rest } = recorder.progress();
      const { wire } = sampleCheckpoint.progress;
      return { ...sampleCheckpoint, step, weights: Float32Array.of(step), progress: { ...progress, wire }, ...rest };
    }
    if (wrongFrom !== undefined && (step === plan.steps - 1 || draw(5) === 0)) {
      recorder.goBack(wrongFrom);
      step = wrongFrom;
      wrongFrom = undefined;
    } else if (goesBack && wrongFrom === undefined && step < plan.steps - 1 && draw(8) === 0) {
      recorder.keep(step);
      wrongFrom = step;
    }
    const mayStep = step < allowed;
    if (mayStep && draw(3) > 0) {
      const count = step % stepsPerEpoch === 2 ? 2 : 4;
      step += 1;
      recorder.step(
        {
          step: step - 1,
          epoch: Math.floor((step - 1) / stepsPerEpoch),
          loss: wrongFrom ? -1 : step,
          correct: 1,
          count,
        },
        state,
      );
    } else {
      evaluateNext();
      await turn();
    }
  }
  const finished = recorder.finish();
  while (!(await Promise.race([finished.then(() => true), turn().then(() => false)]))) evaluateNext();
  const weights = [...((await finished) ?? [step])];
  const { epochs, samples, steps, images, curve, kept, stoppedAfterEpoch } = recorder.data;
  return { epochs, samples, steps, images, curve: curve.points(), kept, stoppedAfterEpoch, weights };
}

it('depends on no delay of an evaluation, no interruption and no return to an earlier step', async () => {
  const loss = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constant(Number.NaN));
  await fc.assert(
    fc.asyncProperty(
      fc.array(loss, { minLength: 9, maxLength: 9 }),
      fc.record({ keep: fc.constantFrom('best', 'last'), patience: fc.option(fc.integer({ min: 1, max: 4 })) }),
      fc.nat(5),
      fc.infiniteStream(fc.nat(0xffff)),
      async (losses, { keep, patience }, sampleEvery, numbers) => {
        const config = { samples: 5, monitor: 'loss', keep, ...(patience && { patience }) } as const;
        const run: Played = { losses, config, sampleEvery };
        const draw: Draw = (below) => numbers.next().value % below;
        const expected = await play(run, () => 1);
        let got = await play(run, draw, { isCut: true });
        for (let interruption = 1; 'optimizer' in got; interruption++) {
          const from = decodeCheckpoint(await encodeCheckpoint(got, sha256), sha256);
          got = await play(run, draw, { from, isCut: interruption < 3 });
        }
        expect(got).toEqual(expected);
        // A run may stop early while its results are wrong, which nobody notices any more.
        const { patience: _, ...patient } = config;
        const back = sampleEvery > 0 ? { ...run, config: patient } : run;
        expect(await play(back, draw, { goesBack: true })).toEqual(await play(back, () => 1));
      },
    ),
    { numRuns: 300, seed: 1 },
  );
});
