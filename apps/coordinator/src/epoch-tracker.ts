/** Sums the results of steps into epochs, each of which ends with an evaluation on the test set. */
import type { Evaluator } from '@lockstep/nn';
import type { EpochReport, ReportOptions } from '@lockstep/train';
import type { RunPlan, StepResult } from '@lockstep/training';

export interface EpochTrackerOptions {
  readonly plan: RunPlan;
  readonly evaluator: Evaluator;
  /** A copy of the parameters as they are now. */
  readonly weights: () => Float32Array;
  readonly nowMs: () => number;
  /** Lets sockets and timers have their turn. */
  readonly pause: () => Promise<void>;
  /** Aborted when evaluations that are not done are given up. */
  readonly signal: AbortSignal;
  /** @param weights those that were evaluated, a copy of its own */
  readonly onEpoch: (epoch: EpochReport, weights: Float32Array) => void;
}

export type EpochRecords = Pick<ReportOptions, 'epochs' | 'initialLoss' | 'images' | 'steps' | 'wallSeconds'>;

const noSums = { loss: 0, correct: 0, count: 0 };

export class EpochTracker {
  readonly #options: EpochTrackerOptions;
  readonly #reports: EpochReport[] = [];
  #startedAtMs = 0;
  #epochStartedAtMs = 0;
  #lastStepAtMs = 0;
  #sums = noSums;
  #evaluations: Promise<void> = Promise.resolve();
  #initialLoss: number | undefined;
  #images = 0;
  #steps = 0;

  constructor(options: EpochTrackerOptions) {
    this.#options = options;
    this.start();
  }

  /** Seconds from `start` to the last step. */
  get seconds(): number {
    return (this.#lastStepAtMs - this.#startedAtMs) / 1000;
  }

  /** Begins to count time: the first step can be computed from now on. */
  start(): void {
    this.#startedAtMs = this.#options.nowMs();
    this.#epochStartedAtMs = this.#startedAtMs;
    this.#lastStepAtMs = this.#startedAtMs;
  }

  step({ step, epoch, loss, correct, count }: StepResult): void {
    const { plan, nowMs } = this.#options;
    this.#initialLoss ??= loss;
    this.#lastStepAtMs = nowMs();
    this.#images += count;
    this.#steps += 1;
    const sums = this.#sums;
    this.#sums = { loss: sums.loss + loss * count, correct: sums.correct + correct, count: sums.count + count };
    if (step + 1 === plan.steps || (step + 1) % plan.stepsPerEpoch === 0) this.#endEpoch(epoch);
  }

  /** What the report says of epochs and steps, once all evaluations are done or given up. */
  async finish(): Promise<EpochRecords> {
    const { signal } = this.#options;
    await this.#evaluations.catch((error: unknown) => {
      if (!signal.aborted || error !== signal.reason) throw error;
    });
    const records = { initialLoss: this.#initialLoss, images: this.#images, steps: this.#steps };
    return { epochs: this.#reports, wallSeconds: this.seconds, ...records };
  }

  #endEpoch(epoch: number): void {
    const { loss, correct, count } = this.#sums;
    const seconds = (this.#lastStepAtMs - this.#epochStartedAtMs) / 1000;
    const weights = this.#options.weights();
    const training = {
      epoch: epoch + 1,
      trainLoss: loss / count,
      trainAccuracy: correct / count,
      seconds,
      imagesPerSecond: seconds > 0 ? count / seconds : 0,
    };
    this.#sums = noSums;
    this.#epochStartedAtMs = this.#lastStepAtMs;
    this.#evaluations = this.#evaluations.then(() => this.#evaluate(training, weights));
    // `finish` throws a failure, which may be some turns of the event loop later.
    this.#evaluations.catch(() => {});
  }

  async #evaluate(training: Omit<EpochReport, 'testLoss' | 'testAccuracy'>, weights: Float32Array): Promise<void> {
    const { evaluator, pause, signal, onEpoch } = this.#options;
    const { loss, accuracy } = await evaluator.evaluate(weights, async () => {
      await pause();
      signal.throwIfAborted();
    });
    const report = { ...training, testLoss: loss, testAccuracy: accuracy };
    this.#reports.push(report);
    onEpoch(report, weights);
  }
}
