/** Sums the results of steps into epochs, each of which ends with an evaluation on the test set. */
import type { Evaluator, TargetType } from '@lockstep/nn';
import type { RunPlan, StepResult } from '@lockstep/training';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Progress } from '../checkpoint/progress.ts';
import type { EpochReport, ReportOptions, TrainedEpoch } from '../report/report.ts';

export interface EpochTrackerOptions {
  readonly plan: RunPlan;
  readonly evaluator: Evaluator;
  readonly targetType: TargetType;
  /** A copy of the parameters as they are now. */
  readonly weights: () => Float32Array<ArrayBuffer>;
  readonly nowMs: () => number;
  /** Lets sockets and timers have their turn. */
  readonly pause: () => Promise<void>;
  /** Aborted when evaluations that are not done are given up. */
  readonly signal: AbortSignal;
  /** @param weights those that were evaluated, a copy of its own */
  readonly onEpoch: (epoch: EpochReport, weights: Float32Array) => void;
  /** Where the run goes on from. */
  readonly resumeFrom?: (EpochState & Pick<Checkpoint, 'step' | 'weights'>) | undefined;
}

export interface EpochRecords
  extends Pick<ReportOptions, 'epochs' | 'initialLoss' | 'images' | 'steps' | 'wallSeconds'> {
  /** Those after the last step, where they have been evaluated: another copy of a large model would take as much again. */
  readonly weights: Float32Array<ArrayBuffer> | undefined;
}

/** What a checkpoint keeps of the epochs. */
export interface EpochState extends Pick<Checkpoint, 'unevaluated'> {
  readonly progress: Omit<Progress, 'curve' | 'wire' | 'resumedAtSteps'>;
}

/** A checkpoint has these newest ones, about 20 MB; data so small that an epoch is a few steps can have more. */
const maxKeptEpochs = 100_000;

const noSums = { lossSum: 0, correct: 0, count: 0 };

export class EpochTracker {
  readonly #options: EpochTrackerOptions;
  readonly #reports: EpochReport[];
  readonly #unevaluated = new Set<Checkpoint['unevaluated'][number]>();
  /** Seconds before this process took the run over: of all steps, and of the current epoch's. */
  readonly #secondsBefore: number;
  #epochSecondsBefore: number;
  #startedAtMs = 0;
  #epochStartedAtMs = 0;
  #lastStepAtMs = 0;
  #sums = noSums;
  #evaluations: Promise<void> = Promise.resolve();
  #initialLoss: number | undefined;
  #images: number;
  #steps: number;
  /** Of the last evaluation that this process has asked for. */
  #newest: { readonly steps: number; readonly weights: Float32Array<ArrayBuffer> } | undefined;

  constructor(options: EpochTrackerOptions) {
    this.#options = options;
    const { resumeFrom } = options;
    this.#reports = [...(resumeFrom?.progress.epochs ?? [])];
    this.#secondsBefore = resumeFrom?.progress.seconds ?? 0;
    this.#epochSecondsBefore = resumeFrom?.progress.epochSeconds ?? 0;
    this.#initialLoss = resumeFrom?.progress.initialLoss ?? undefined;
    this.#images = resumeFrom?.progress.images ?? 0;
    this.#steps = resumeFrom?.step ?? 0;
    this.start();
    if (!resumeFrom) return;
    const { lossSum, correct, count } = resumeFrom.progress;
    this.#sums = { lossSum, correct, count };
  }

  /** Evaluates the epochs before this process that have not been; for a run that goes on. */
  evaluatePending(): void {
    const { plan, resumeFrom } = this.#options;
    if (!resumeFrom) return;
    for (const { epoch, weights } of resumeFrom.unevaluated) this.#evaluateLater(epoch, weights);
    if (resumeFrom.step === plan.steps && resumeFrom.progress.count > 0) {
      this.#endEpoch(Math.floor((resumeFrom.step - 1) / plan.stepsPerEpoch), resumeFrom.weights);
    }
  }

  /** Seconds of training up to the last step. */
  get seconds(): number {
    return this.#secondsBefore + (this.#lastStepAtMs - this.#startedAtMs) / 1000;
  }

  get #epochSeconds(): number {
    return this.#epochSecondsBefore + (this.#lastStepAtMs - this.#epochStartedAtMs) / 1000;
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
    this.#steps = step + 1;
    const sums = this.#sums;
    this.#sums = { lossSum: sums.lossSum + loss * count, correct: sums.correct + correct, count: sums.count + count };
    if (this.#steps === plan.steps || this.#isWhole(epoch + 1)) this.#endEpochHere(epoch);
  }

  /** As after the last step. An epoch that the end of the run cuts short counts as one that is not over. */
  state(): EpochState {
    return {
      progress: {
        epochs: this.#reports.slice(-maxKeptEpochs).filter(({ epoch }) => this.#isWhole(epoch)),
        ...this.#sums,
        initialLoss: this.#initialLoss ?? null,
        images: this.#images,
        seconds: this.seconds,
        epochSeconds: this.#epochSeconds,
      },
      unevaluated: [...this.#unevaluated].filter(({ epoch }) => this.#isWhole(epoch.epoch)),
    };
  }

  /** What the report says of epochs and steps, once all evaluations are done or given up; there can be no others then. */
  async finish(): Promise<EpochRecords> {
    const { plan, signal, evaluator } = this.#options;
    // A run that ends within an epoch is evaluated there, unless it is to end at once.
    const isWithinEpoch = this.#sums.count > 0 && this.#steps < plan.steps;
    if (isWithinEpoch && !signal.aborted) this.#endEpochHere(Math.floor(this.#steps / plan.stepsPerEpoch));
    await this.#evaluations
      .catch((error: unknown) => {
        if (!signal.aborted || error !== signal.reason) throw error;
      })
      .finally(() => evaluator.dispose());
    const records = { initialLoss: this.#initialLoss, images: this.#images, steps: this.#steps };
    const weights = this.#newest?.steps === this.#steps ? this.#newest.weights : undefined;
    return { epochs: this.#reports, wallSeconds: this.seconds, weights, ...records };
  }

  /** @param epoch from 1 */
  #isWhole(epoch: number): boolean {
    return epoch * this.#options.plan.stepsPerEpoch <= this.#steps;
  }

  #endEpochHere(epoch: number): void {
    const weights = this.#options.weights();
    this.#newest = { steps: this.#steps, weights };
    this.#endEpoch(epoch, weights);
  }

  #endEpoch(epoch: number, weights: Float32Array): void {
    const { lossSum, correct, count } = this.#sums;
    const seconds = this.#epochSeconds;
    const trainLoss = lossSum / count;
    const hasAccuracy = this.#options.targetType === 'classes' && Number.isFinite(trainLoss);
    const trained = {
      epoch: epoch + 1,
      trainLoss,
      trainAccuracy: hasAccuracy ? correct / count : null,
      seconds,
      imagesPerSecond: seconds > 0 ? count / seconds : 0,
    };
    this.#evaluateLater(trained, weights);
    if (!this.#isWhole(epoch + 1)) return;
    this.#sums = noSums;
    this.#epochSecondsBefore = 0;
    this.#epochStartedAtMs = this.#lastStepAtMs;
  }

  #evaluateLater(epoch: TrainedEpoch, weights: Float32Array): void {
    const unevaluated = { epoch, weights };
    this.#unevaluated.add(unevaluated);
    this.#evaluations = this.#evaluations.then(async () => {
      await this.#evaluate(epoch, weights);
      this.#unevaluated.delete(unevaluated);
    });
    // `finish` throws a failure, which may be some turns of the event loop later.
    this.#evaluations.catch(() => {});
  }

  async #evaluate(epoch: TrainedEpoch, weights: Float32Array): Promise<void> {
    const { evaluator, pause, signal, onEpoch } = this.#options;
    const { loss, accuracy, r2, rmse } = await evaluator.evaluate(weights, async () => {
      await pause();
      signal.throwIfAborted();
    });
    const report = { ...epoch, testLoss: loss, testAccuracy: accuracy, testR2: r2, testRmse: rmse };
    this.#reports.push(report);
    onEpoch(report, weights);
  }
}
