/** Gathers what steps report into epochs, and has the model evaluated at the end of each. */
import type { Evaluator } from '@lockstep/nn';
import type { EpochReport } from '@lockstep/train';
import type { RunPlan, StepResult } from '@lockstep/training';

export interface EpochsOptions {
  readonly plan: RunPlan;
  readonly evaluator: Evaluator;
  /** A copy of the parameters as they are now. */
  readonly weights: () => Float32Array;
  readonly nowMs: () => number;
  /** Lets sockets and timers have their turn. */
  readonly pause: () => Promise<void>;
  /** Also told the weights that were evaluated, a copy of its own. */
  readonly onEpoch: (epoch: EpochReport, weights: Float32Array) => void;
}

export interface Epochs {
  /** Begins to count time: the first step can be computed from now on. */
  start(): void;
  add(result: StepResult): void;
  /** Mean loss of the first batch, with the initial weights. */
  readonly initialLoss: number | undefined;
  readonly images: number;
  readonly steps: number;
  /** Seconds from `start` to the last step. */
  readonly seconds: number;
  /** Every epoch that was evaluated, once all evaluations are done or, after `abandon`, given up. */
  finish(): Promise<readonly EpochReport[]>;
  /** Gives up the evaluations that are not done. */
  abandon(): void;
}

class Abandoned extends Error {}

export function createEpochs(options: EpochsOptions): Epochs {
  const { plan, evaluator, nowMs } = options;
  const reports: EpochReport[] = [];
  let startedAtMs = nowMs();
  let epochStartedAtMs = startedAtMs;
  let lastStepAtMs = startedAtMs;
  let sums = { loss: 0, correct: 0, count: 0 };
  let initialLoss: number | undefined;
  let images = 0;
  let steps = 0;
  let evaluations: Promise<void> = Promise.resolve();
  let isAbandoned = false;

  const pause = async (): Promise<void> => {
    await options.pause();
    if (isAbandoned) throw new Abandoned('evaluation given up');
  };

  const close = (epoch: number): void => {
    const { loss, correct, count } = sums;
    const seconds = (lastStepAtMs - epochStartedAtMs) / 1000;
    const weights = options.weights();
    sums = { loss: 0, correct: 0, count: 0 };
    epochStartedAtMs = lastStepAtMs;
    evaluations = evaluations.then(async () => {
      const test = await evaluator.evaluate(weights, pause);
      const report: EpochReport = {
        epoch: epoch + 1,
        trainLoss: loss / count,
        trainAccuracy: correct / count,
        testLoss: test.loss,
        testAccuracy: test.accuracy,
        seconds,
        imagesPerSecond: seconds > 0 ? count / seconds : 0,
      };
      reports.push(report);
      options.onEpoch(report, weights);
    });
    // A failure is thrown where the epochs are asked for, which may be some turns later.
    evaluations.catch(() => {});
  };

  return {
    start() {
      startedAtMs = nowMs();
      epochStartedAtMs = startedAtMs;
      lastStepAtMs = startedAtMs;
    },
    add({ step, epoch, loss, correct, count }) {
      initialLoss ??= loss;
      lastStepAtMs = nowMs();
      images += count;
      steps += 1;
      sums = { loss: sums.loss + loss * count, correct: sums.correct + correct, count: sums.count + count };
      const isLast = step + 1 === plan.steps || (step + 1) % plan.stepsPerEpoch === 0;
      if (isLast) close(epoch);
    },
    get initialLoss() {
      return initialLoss;
    },
    get images() {
      return images;
    },
    get steps() {
      return steps;
    },
    get seconds() {
      return (lastStepAtMs - startedAtMs) / 1000;
    },
    async finish() {
      await evaluations.catch((error: unknown) => {
        if (!(error instanceof Abandoned)) throw error;
      });
      return reports;
    },
    abandon() {
      isAbandoned = true;
    },
  };
}
