/** Records a run once: report, dashboard, metrics, terminal and checkpoints read the same record. */

import type { StepResult } from '@lockstep/compute';
import type { Run, RunOutcome, Trace } from '@lockstep/coordinator';
import type { TargetField } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import { type DatasetEvaluator, type Evaluation, type Evaluator, type Metrics, monitors } from '@lockstep/nn';
import { type CoordinatorState, hasEnded, type RunEvent, type RunPlan } from '@lockstep/rules';
import type { Checkpoint, SavedProgress, UnevaluatedEpoch, UnwrittenSample, WrittenCheckpoint } from './checkpoint.ts';
import {
  accuracyOf,
  addSums,
  type CurveState,
  emptyCurve,
  evenly,
  movingAverage,
  Throughput,
  TrainingCurve,
} from './curve.ts';
import { EpochChoice, earlyStopText, type KeptEpoch, type SavedChoice, type ValidationConfig } from './epoch-choice.ts';
import {
  EventLines,
  type OnEpoch,
  type RecordedEvent,
  type RelayPlace,
  type RunEnding,
  type StepEvent,
  type StopCode,
  type TrainingEvent,
} from './events.ts';
import type { Evaluated } from './report.ts';
import { type EpochReport, noTraffic, type Report, type TextSample } from './report.ts';
import { StepTiming } from './step-timing.ts';

/** Everything known of a run besides the state of its rules, which covers workers and faults. */
export interface RunRecord extends Omit<SavedProgress, 'curve' | 'wire' | 'rewinds'> {
  readonly rewinds: Report['rewinds'];
  /** Steps taken, including those before this process took over the run. */
  readonly steps: number;
  /** Samples since this process took over the run. */
  readonly samplesSoFar: number;
  /**
   * Moving averages over this process's steps; undefined before the first step, accuracy also if targets are values.
   */
  readonly loss: number | undefined;
  readonly accuracy: number | undefined;
  readonly curve: TrainingCurve;
  readonly throughput: Throughput;
  readonly timing: StepTiming;
  /** The last lines for viewers who are not owners. */
  readonly lines: readonly string[];
  readonly relays: readonly RelayPlace[];
  /** The checkpoint that the run resumed from, and the newest one; undefined before the first. */
  readonly checkpoint: { readonly resumed?: WrittenCheckpoint; readonly newest: WrittenCheckpoint } | undefined;
  /** The best epoch so far, if the run keeps the best. */
  readonly kept: KeptEpoch | undefined;
  /** The epoch after which the run stopped early. */
  readonly stoppedAfterEpoch: number | undefined;
  /** Weights that the run ended with, and the steps that they have taken; undefined before. */
  readonly final: { readonly weights: Float32Array<ArrayBuffer>; readonly step: number } | undefined;
  /** Undefined until the run has ended, and if it took every step that it needed. */
  readonly ending: RunEnding | undefined;
}

export interface RecorderOptions {
  readonly plan: RunPlan;
  readonly targetField: TargetField;
  readonly evaluator: Evaluator;
  /** Evaluates on the validation samples, which choose an epoch as `config` says; undefined if there are none. */
  readonly validation?: { readonly evaluator: Evaluator; readonly config: ValidationConfig } | undefined;
  /** Writes a text after some steps; undefined unless the model predicts the next token. */
  readonly writing?: Writing | undefined;
  /** Copies the current parameters. */
  readonly weights: () => Float32Array<ArrayBuffer>;
  /** The run, which is created after its recorder. */
  readonly run: () => Pick<Run, 'state' | 'stop' | 'finish' | 'allow'>;
  readonly nowMs: () => number;
  /** Yields to sockets and timers. */
  readonly pause: () => Promise<void>;
  /** Aborted to cancel unfinished evaluations. */
  readonly signal: AbortSignal;
  /** The checkpoint that the run resumes from, and its file. */
  readonly resumeFrom?: Checkpoint | undefined;
  readonly resumed?: WrittenCheckpoint | undefined;
  /** Receives the events for the program that started the run. */
  readonly emit: (event: TrainingEvent) => void;
  readonly onStep?: ((event: StepEvent) => void) | undefined;
  readonly onEpoch?: OnEpoch | undefined;
}

/** Texts that a model writes while it learns; their evaluations choose the weights instead of those of the epochs. */
interface Writing {
  /** Writes a text with given weights, and evaluates them on a part of the held-out samples. */
  readonly writer: DatasetEvaluator<Evaluated>;
  /** The beginning of each text, which the model continues. */
  readonly prompt: string;
  /** Steps from one text to the next. */
  readonly every: number;
}

/** Number of newest epochs that a checkpoint keeps, about 20 MB; on small data an epoch may be a few steps. */
const maxKeptEpochs = 100_000;
const maxLines = 30;
/** If a run has more texts, only an even selection stays. */
const maxTexts = 128;
/** The run waits rather than hold more copies of weights whose text is not written. */
const maxUnwritten = 8;
const smoothing = 0.05;
const noSums = { lossSum: 0, correct: 0, count: 0 };
const noProgress: SavedProgress = {
  ...{ ...noSums, epochs: [], initialLoss: null, images: 0, seconds: 0, epochSeconds: 0, resumedAtSteps: [] },
  curve: emptyCurve,
  wire: noTraffic,
};

/** Messages for workers and viewers when a run is ended on purpose. */
const stopMessages: Readonly<Record<StopCode, string>> = {
  owner: 'stopped from the dashboard',
  program: 'the coordinator was interrupted',
  planned: 'the run starts with a batch for the workers that have joined',
};

interface MeasuredWeights {
  readonly weights: Float32Array;
  readonly test: Metrics | null;
  /** Undefined without validation samples. */
  readonly validation: Metrics | null | undefined;
}

/** Record of the steps before one to which the run may go back. */
interface KeptRecord
  extends Pick<
    RunRecord,
    | ('steps' | 'lossSum' | 'correct' | 'count' | 'initialLoss' | 'images')
    | ('seconds' | 'epochSeconds' | 'loss' | 'accuracy')
  > {
  readonly curve: CurveState;
  /** After all evaluations of these steps. */
  choice: SavedChoice | undefined;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #data: Mutable<RunRecord> & { readonly epochs: EpochReport[]; readonly lines: string[] };
  readonly #eventLines: EventLines;
  readonly #listeners = new Set<(event: RecordedEvent) => void>();
  readonly #unevaluated: Set<UnevaluatedEpoch>;
  readonly #unwritten: Set<UnwrittenSample>;
  readonly #choice: EpochChoice | undefined;
  readonly #kept = new Map<number, KeptRecord>();
  /** Seconds before this process took over the run. */
  readonly #secondsBefore: number;
  #epochSecondsBefore: number;
  #startedAtMs = 0;
  #epochStartedAtMs = 0;
  #lastStepAtMs = 0;
  #evaluations: Promise<void> = Promise.resolve();
  /** Weights of the last evaluation that this process requested. */
  #newest: { readonly steps: number; readonly weights: Float32Array<ArrayBuffer> } | undefined;
  /** The last evaluation that had metrics. */
  #metrics: MeasuredWeights | undefined;
  #stopCode: StopCode | undefined;
  /** Whether nothing that is still to be evaluated matters. */
  #isSettled = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    const { plan, targetField, nowMs, resumeFrom, resumed, validation, writing } = options;
    const { progress, choice, unevaluated, unwritten } = resumeFrom ?? {};
    this.#unevaluated = new Set(unevaluated);
    this.#unwritten = new Set(unwritten);
    this.#choice = validation && new EpochChoice(validation.config, choice);
    const lastEpoch = this.#choice?.lastEpoch;
    const steps = lastEpoch === undefined ? (resumeFrom?.step ?? 0) : this.#endOf(lastEpoch);
    const isOver = steps === plan.steps || lastEpoch !== undefined;
    const { curve, wire: _wire, resumedAtSteps, ...before } = progress ?? noProgress;
    this.#eventLines = new EventLines(nowMs);
    this.#secondsBefore = before.seconds;
    this.#epochSecondsBefore = before.epochSeconds;
    this.#data = {
      ...before,
      epochs: [...before.epochs],
      ...(writing && { samples: before.samples ?? [] }),
      steps,
      samplesSoFar: 0,
      loss: undefined,
      accuracy: undefined,
      curve: new TrainingCurve(targetField, curve),
      throughput: new Throughput(nowMs),
      timing: new StepTiming(),
      lines: [],
      relays: [],
      checkpoint: resumed && { resumed, newest: resumed },
      resumedAtSteps: steps === 0 || isOver ? resumedAtSteps : [...resumedAtSteps, steps],
      rewinds: before.rewinds ?? [],
      kept: this.#choice?.kept,
      stoppedAfterEpoch: steps < plan.steps ? lastEpoch : undefined,
      final: undefined,
      ending: undefined,
    };
    this.keep(steps);
    this.#start();
  }

  get data(): RunRecord {
    return this.#data;
  }

  /** Calls the listener for each event, once it is in the record. */
  subscribe(listener: (event: RecordedEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Evaluates what an earlier process left unevaluated; called once the dashboard can show it. */
  evaluatePending(): void {
    const { plan, resumeFrom } = this.#options;
    if (!resumeFrom) return;
    const texts = [...this.#unwritten].map((unwritten) => {
      return { step: unwritten.step, evaluate: () => this.#write(unwritten) };
    });
    const epochs = resumeFrom.unevaluated.map((unevaluated) => {
      return { step: this.#endOf(unevaluated.epoch.epoch), evaluate: () => this.#evaluate(unevaluated) };
    });
    // The sort is stable: a text comes before the epoch that ends with the same step, as in a run without interruption.
    for (const { evaluate } of [...texts, ...epochs].sort((a, b) => a.step - b.step)) this.#queue(evaluate);
    if (resumeFrom.step === plan.steps && resumeFrom.progress.count > 0) {
      this.#endEpoch(Math.floor((resumeFrom.step - 1) / plan.stepsPerEpoch), resumeFrom.weights);
    }
  }

  /** Ends the run on purpose after the current step; does nothing once the run has ended. */
  stop(code: StopCode): void {
    const run = this.#options.run();
    if (hasEnded(run.state)) return;
    this.#stopCode = code;
    run.stop(stopMessages[code]);
  }

  /**
   * With patience, lets the run finish the epoch after the oldest one that is not evaluated: what it computes beyond the
   * end of its last epoch is discarded. Texts that are not written limit the run too. Called before the run takes a
   * step, and after each evaluation.
   */
  limitSteps(): void {
    const { plan, run, validation, writing } = this.#options;
    const limits: number[] = [];
    if (validation?.config.patience !== undefined) {
      const [oldest] = this.#unevaluated;
      const epoch = oldest?.epoch.epoch ?? 1 + Math.floor(this.#data.steps / plan.stepsPerEpoch);
      limits.push(this.#endOf(epoch + 1));
    }
    if (writing) {
      const [oldest] = this.#unwritten;
      limits.push(Math.min((oldest?.step ?? this.#data.steps) + maxUnwritten * writing.every, plan.steps));
    }
    if (limits.length > 0) run().allow(Math.min(...limits));
  }

  /** Records the end of the run. */
  ended(outcome: RunOutcome): void {
    if (outcome.type === 'finished' || this.#data.ending) return;
    const { message, hasDiverged = false } = outcome;
    const code = this.#stopCode;
    this.#data.ending =
      code === undefined ? { type: 'failed', message, hasDiverged } : { type: 'stopped', code, message };
    this.note(message);
  }

  /** Records an event of the rules. */
  event(event: RunEvent, state: CoordinatorState): void {
    if (event.type === 'relayStatus' || event.type === 'left') this.#updateRelays(state);
    if (event.type === 'started') {
      this.#start();
      this.#record({ type: 'started' });
      return;
    }
    const told = this.#eventLines.eventOf(event, state);
    if (!told) return;
    if (told.type === 'wentBack') this.#noteRewind(told);
    this.#record(told);
    this.note(told.message);
  }

  /**
   * Records a failure that the run survives.
   * @param guestLine for viewers who are not owners: it names nothing on this machine
   */
  warn(message: string, guestLine: string): void {
    this.#record({ type: 'warning', message });
    this.note(guestLine, message);
  }

  /** Shows a line to all viewers. @param ownerLine shown to owners instead: it may name things on this machine */
  note(line: string, ownerLine = line): void {
    const { lines } = this.#data;
    lines.push(line);
    if (lines.length > maxLines) lines.shift();
    this.#show({ type: 'line', line, ownerLine });
  }

  trace(trace: Trace): void {
    this.#data.timing.trace(trace);
  }

  step(result: StepResult, state: CoordinatorState): void {
    const data = this.#data;
    const { plan, targetField, onStep, nowMs, writing } = this.#options;
    const { step, epoch, loss, correct, count } = result;
    // A relay without workers leaves without an event.
    if (data.relays.length > 0) this.#updateRelays(state);
    const atMs = nowMs();
    this.#lastStepAtMs = atMs;
    const accuracy = accuracyOf(targetField, correct, count);
    data.timing.stepped(atMs);
    data.steps = step + 1;
    data.images += count;
    data.samplesSoFar += count;
    data.seconds = this.#secondsBefore + (atMs - this.#startedAtMs) / 1000;
    data.epochSeconds = this.#epochSecondsBefore + (atMs - this.#epochStartedAtMs) / 1000;
    data.initialLoss ??= loss;
    data.loss = movingAverage(data.loss, loss, smoothing);
    if (accuracy !== null) data.accuracy = movingAverage(data.accuracy, accuracy, smoothing);
    Object.assign(data, addSums(data, { lossSum: loss * count, correct, count }));
    data.curve.add(result, data.seconds);
    data.throughput.add(count);
    const isLast = data.steps === plan.steps;
    if (writing && (isLast || data.steps % writing.every === 0)) this.#writeHere();
    if (isLast || this.#isWhole(epoch + 1)) this.#endEpoch(epoch, this.#weightsHere());
    const event: StepEvent = {
      type: 'step',
      step: data.steps,
      epoch: epoch + 1,
      loss,
      accuracy,
      smoothedLoss: data.loss,
      smoothedAccuracy: data.accuracy ?? null,
      samples: count,
      samplesSoFar: data.samplesSoFar,
      workers: readyWorkers(state),
    };
    const returned: unknown = onStep?.(event);
    // Nothing waits for an async function, but its error fails the run as that of any other does.
    if (returned instanceof Promise) {
      returned.catch((error) => this.#fail(`onStep failed after step ${event.step}: ${errorMessage(error)}`));
    }
    this.#record(event);
  }

  /** Keeps the record of the steps before this one. @param forget the step of a record that is not needed any more */
  keep(step: number, forget?: number): void {
    const { steps, lossSum, correct, count, initialLoss, images, seconds, epochSeconds, loss, accuracy } = this.#data;
    if (steps !== step) throw new Error(`expected to keep the record after ${steps} steps, got ${step}`);
    if (forget !== undefined) this.#kept.delete(forget);
    this.#kept.set(step, {
      ...{ steps, lossSum, correct, count, initialLoss, images, seconds, epochSeconds, loss, accuracy },
      curve: this.#data.curve.state(),
      choice: this.#choice?.saved,
    });
  }

  /** Returns to the record of the steps before this one: the run takes this step and later ones again. */
  goBack(step: number): void {
    const { plan, targetField, nowMs } = this.#options;
    const { curve, choice, seconds: _, ...figures } = this.#kept.get(step)!;
    for (const later of this.#kept.keys()) if (later > step) this.#kept.delete(later);
    const data = this.#data;
    const isTaken = (epoch: number): boolean => epoch * plan.stepsPerEpoch <= step;
    for (const one of this.#unevaluated) if (!isTaken(one.epoch.epoch)) this.#unevaluated.delete(one);
    for (const one of this.#unwritten) if (one.step > step) this.#unwritten.delete(one);
    data.epochs.splice(0, data.epochs.length, ...data.epochs.filter(({ epoch }) => isTaken(epoch)));
    if (data.samples) data.samples = data.samples.filter((sample) => sample.step <= step);
    Object.assign(data, figures, { curve: new TrainingCurve(targetField, curve) });
    if (choice) this.#choice?.restore(choice);
    data.kept = this.#choice?.kept;
    this.#newest = undefined;
    this.#epochSecondsBefore = figures.epochSeconds;
    this.#epochStartedAtMs = nowMs();
    this.#lastStepAtMs = this.#epochStartedAtMs;
    this.limitSteps();
  }

  /** Records the evaluation of an epoch. @param weights a copy of the evaluated weights */
  evaluated(report: EpochReport, weights: Float32Array): void {
    this.#data.epochs.push(report);
    this.#record({ type: 'epoch', ...report });
    this.#show({ type: 'evaluated', report, weights });
  }

  /** Records a checkpoint on disk. */
  written(newest: WrittenCheckpoint): void {
    this.#data.checkpoint = { ...this.#data.checkpoint, newest };
    this.#record({ type: 'checkpoint', ...newest });
  }

  /** Shows the complete report. @param weights a copy of the final weights */
  reported(report: Report, weights: Float32Array<ArrayBuffer>): void {
    this.#data.final = { weights, step: report.kept?.step ?? report.steps };
    this.#show({ type: 'report', report, weights });
  }

  /** Progress for a checkpoint after the last step. An epoch cut short by the end of the run counts as unfinished. */
  progress(): Pick<Checkpoint, 'unevaluated' | 'unwritten' | 'choice'> & {
    readonly progress: Omit<SavedProgress, 'wire'>;
  } {
    const { lossSum, correct, count, initialLoss, images, seconds, epochSeconds, resumedAtSteps, rewinds } = this.#data;
    const figures = { lossSum, correct, count, initialLoss, images, seconds, epochSeconds, resumedAtSteps, rewinds };
    const epochs = this.#data.epochs.slice(-maxKeptEpochs).filter(({ epoch }) => this.#isWhole(epoch));
    const { writing } = this.#options;
    const isDue = ({ step }: { readonly step: number }): boolean => step % writing!.every === 0;
    const samples = this.#data.samples?.filter(isDue);
    return {
      progress: { epochs, ...figures, ...(samples && { samples }), curve: this.#data.curve.state() },
      unevaluated: [...this.#unevaluated].filter(({ epoch }) => this.#isWhole(epoch.epoch)),
      ...(writing && { unwritten: [...this.#unwritten].filter(isDue) }),
      ...(this.#choice && { choice: this.#choice.saved }),
    };
  }

  /**
   * Resolves once all evaluations are done or canceled; no others can follow.
   * @returns the weights to end with; undefined if they are those after the last step, and were not evaluated: otherwise
   * this saves another copy of a large model
   */
  async finish(): Promise<Float32Array<ArrayBuffer> | undefined> {
    const { plan, signal, writing } = this.#options;
    const { steps, count } = this.#data;
    // A run that ends within an epoch is evaluated at that point, unless it must end at once.
    const isWithinEpoch = count > 0 && steps < plan.steps;
    if (isWithinEpoch && !signal.aborted) {
      if (writing && steps % writing.every !== 0) this.#writeHere();
      this.#endEpoch(Math.floor(steps / plan.stepsPerEpoch), this.#weightsHere());
    }
    await this.#evaluations.catch((error: unknown) => {
      if (!signal.aborted || error !== signal.reason) throw error;
    });
    return this.#choice?.weights ?? (this.#newest?.steps === steps ? this.#newest.weights : undefined);
  }

  /**
   * Measures the weights to end with after `finish`, unless the last evaluation has.
   * @returns metrics on the test and validation samples: null if an output is not finite, or the run must end at once
   */
  async metricsOf(weights: Float32Array): Promise<Pick<MeasuredWeights, 'test' | 'validation'>> {
    const { evaluator, validation, signal } = this.#options;
    if (this.#metrics?.weights === weights) return this.#metrics;
    try {
      signal.throwIfAborted();
      const { metrics: test = null } = await this.#measure(evaluator, weights, true);
      const evaluation = validation && (await this.#measure(validation.evaluator, weights, true));
      return { test, validation: evaluation?.metrics };
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error;
      return { test: null, validation: validation && null };
    }
  }

  dispose(): void {
    const { evaluator, validation, writing } = this.#options;
    for (const each of [evaluator, validation?.evaluator, writing?.writer]) each?.dispose();
  }

  /** Emits an event to the program and to all listeners. */
  #record(event: TrainingEvent): void {
    this.#options.emit(event);
    this.#show(event);
  }

  #show(event: RecordedEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Starts the clock: from now on, the first step can be computed. */
  #start(): void {
    this.#startedAtMs = this.#options.nowMs();
    this.#epochStartedAtMs = this.#startedAtMs;
    this.#lastStepAtMs = this.#startedAtMs;
  }

  #noteRewind({ worker, from, to }: Extract<TrainingEvent, { type: 'wentBack' }>): void {
    const data = this.#data;
    const elapsed = this.#secondsBefore + (this.#options.nowMs() - this.#startedAtMs) / 1000;
    const seconds = Math.max(0, elapsed - this.#kept.get(to)!.seconds);
    data.rewinds = [...data.rewinds, { worker: worker.id, fromStep: from, toStep: to, seconds }];
  }

  #updateRelays(state: CoordinatorState): void {
    const relays = relaysOf(state);
    if (JSON.stringify(relays) === JSON.stringify(this.#data.relays)) return;
    this.#data.relays = relays;
    this.#record({ type: 'relays', relays });
  }

  /** @param epoch counted from 1 */
  #isWhole(epoch: number): boolean {
    return epoch * this.#options.plan.stepsPerEpoch <= this.#data.steps;
  }

  /** Steps taken by the end of an epoch, counted from 1. */
  #endOf(epoch: number): number {
    const { steps, stepsPerEpoch } = this.#options.plan;
    return Math.min(epoch * stepsPerEpoch, steps);
  }

  /** Copies the current weights, once for all evaluations of a step. */
  #weightsHere(): Float32Array<ArrayBuffer> {
    const { steps } = this.#data;
    if (this.#newest?.steps !== steps) this.#newest = { steps, weights: this.#options.weights() };
    return this.#newest.weights;
  }

  #writeHere(): void {
    const unwritten = { step: this.#data.steps, weights: this.#weightsHere() };
    this.#unwritten.add(unwritten);
    this.#queue(() => this.#write(unwritten));
  }

  #endEpoch(epoch: number, weights: Float32Array<ArrayBuffer>): void {
    const data = this.#data;
    const { lossSum, correct, count, epochSeconds: seconds, images, curve } = data;
    const trainLoss = lossSum / count;
    const { targetField } = this.#options;
    const trainAccuracy = Number.isFinite(trainLoss) ? accuracyOf(targetField, correct, count) : null;
    const imagesPerSecond = seconds > 0 ? count / seconds : 0;
    const mayBeLast = this.#options.validation?.config.patience !== undefined;
    const unevaluated: UnevaluatedEpoch = {
      epoch: { epoch: epoch + 1, trainLoss, trainAccuracy, seconds, imagesPerSecond },
      weights,
      ...(mayBeLast && { end: { images, seconds: data.seconds, curve: curve.state() } }),
    };
    this.#unevaluated.add(unevaluated);
    this.#queue(() => this.#evaluate(unevaluated));
    if (!this.#isWhole(epoch + 1)) return;
    Object.assign(data, noSums);
    data.epochSeconds = 0;
    this.#epochSecondsBefore = 0;
    this.#epochStartedAtMs = this.#lastStepAtMs;
  }

  /** Evaluates after all earlier evaluations. */
  #queue(evaluate: () => Promise<void>): void {
    this.#evaluations = this.#evaluations.then(async () => {
      // Later steps are discarded once the run has stopped early, and not shown once it has failed.
      if (!this.#isSettled) await evaluate();
    });
    // `finish` throws a failure, possibly some turns of the event loop later.
    this.#evaluations.catch(() => {});
  }

  async #write(unwritten: UnwrittenSample): Promise<void> {
    const { plan, writing } = this.#options;
    const { writer, prompt, every } = writing!;
    const { step, weights } = unwritten;
    if (!this.#unwritten.has(unwritten)) return;
    const { text = '', ...evaluation } = await this.#measure(writer, weights, this.#choosesByMetrics);
    // Meanwhile the run may have gone back.
    if (!this.#unwritten.has(unwritten)) return;
    const epoch = Math.ceil(step / plan.stepsPerEpoch);
    this.#choice?.judge({ epoch, step, isCutShort: step % every !== 0, evaluation, isPart: true, weights });
    this.#noteChoice(step);
    this.#unwritten.delete(unwritten);
    // A diverged model writes nothing.
    if (Number.isFinite(evaluation.loss)) {
      const sample: TextSample = { step, text, loss: evaluation.loss };
      const samples = [...this.#data.samples!, sample];
      this.#data.samples = samples.length > maxTexts ? evenly(samples, maxTexts / 2) : samples;
      this.#record({ type: 'sample', prompt, ...sample });
    }
    this.limitSteps();
  }

  async #evaluate(unevaluated: UnevaluatedEpoch): Promise<void> {
    const { plan, evaluator, validation, writing, onEpoch } = this.#options;
    const { epoch: trained, weights } = unevaluated;
    const { epoch } = trained;
    if (!this.#unevaluated.has(unevaluated)) return;
    const mayBeLast = this.#data.ending !== undefined || this.#endOf(epoch) === plan.steps;
    const { loss, accuracy, r2, rmse, metrics: test } = await this.#measure(evaluator, weights, mayBeLast);
    const evaluation =
      validation && (await this.#measure(validation.evaluator, weights, mayBeLast || this.#choosesByMetrics));
    // Meanwhile the run may have gone back.
    if (!this.#unevaluated.has(unevaluated)) return;
    if (test !== undefined) this.#metrics = { weights, test, validation: evaluation?.metrics };
    const metrics: EpochReport = {
      ...{ ...trained, testLoss: loss, testAccuracy: accuracy, testR2: r2, testRmse: rmse },
      ...(evaluation && { validation: figuresOf(evaluation) }),
    };
    const isWhole = this.#isWhole(epoch);
    const step = isWhole ? this.#endOf(epoch) : this.#data.steps;
    // In a run that writes texts, the evaluations of the texts have been judged.
    if (evaluation && !writing) this.#choice!.judge({ epoch, step, isCutShort: !isWhole, evaluation, weights });
    if (isWhole) this.#choice?.endEpoch(epoch, weights);
    this.#noteChoice(step);
    this.#unevaluated.delete(unevaluated);
    this.evaluated(metrics, weights);
    try {
      await onEpoch?.({ epoch, step, weights: weights.slice(), metrics });
    } catch (error) {
      this.#fail(`onEpoch failed after epoch ${epoch}: ${errorMessage(error)}`);
      return;
    }
    if (this.#choice?.lastEpoch === epoch) this.#stopEarly(epoch, unevaluated.end!);
    else this.limitSteps();
  }

  /** Notes the choice after the evaluation of a step, which precedes some of the steps to which the run may go back. */
  #noteChoice(step: number): void {
    for (const kept of this.#kept.values()) if (kept.steps >= step) kept.choice = this.#choice?.saved;
    this.#data.kept = this.#choice?.kept;
  }

  get #choosesByMetrics(): boolean {
    const { validation } = this.#options;
    return validation !== undefined && monitors[validation.config.monitor].needsMetrics === true;
  }

  #measure<Result>(evaluator: DatasetEvaluator<Result>, weights: Float32Array, hasMetrics: boolean): Promise<Result> {
    const { pause, signal } = this.#options;
    const pauseOrThrow = async (): Promise<void> => {
      await pause();
      signal.throwIfAborted();
    };
    return evaluator.evaluate(weights, pauseOrThrow, hasMetrics);
  }

  /** Ends the run, and returns its record to the end of its last epoch, however far it has gone since. */
  #stopEarly(epoch: number, end: NonNullable<UnevaluatedEpoch['end']>): void {
    const { plan, run, targetField, validation } = this.#options;
    const data = this.#data;
    this.#isSettled = true;
    this.#unevaluated.clear();
    const { images, seconds, curve } = end;
    Object.assign(data, noSums, { images, seconds, epochSeconds: 0, steps: this.#endOf(epoch) });
    data.curve = new TrainingCurve(targetField, curve);
    if (data.steps === plan.steps) return;
    data.stoppedAfterEpoch = epoch;
    const message = earlyStopText(epoch, validation!.config);
    this.#record({ type: 'note', message });
    this.note(message);
    run().finish();
  }

  #fail(message: string): void {
    this.#isSettled = true;
    this.#data.ending = { type: 'failed', message, hasDiverged: false };
    this.note(message);
    this.#options.run().stop(message);
  }
}

/** Leaves out the metrics of each class, which would make the report of a long run very long. */
function figuresOf({ loss, accuracy, r2, rmse }: Evaluation): Evaluation {
  return { loss, accuracy, r2, rmse };
}

/** Number of workers that can compute. */
export function readyWorkers({ connections }: CoordinatorState): number {
  return [...connections.values()].filter(({ phase }) => phase === 'ready').length;
}

/** Connected relays that workers can join. */
function relaysOf({ connections, records }: CoordinatorState): RelayPlace[] {
  return [...connections.values()].flatMap(({ phase, workerId = '' }) => {
    const { address, workersBehind = 0 } = records.get(workerId) ?? {};
    return phase !== 'handshake' && address !== undefined ? [{ address, workers: workersBehind }] : [];
  });
}
