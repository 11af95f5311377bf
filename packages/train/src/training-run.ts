/** A training run in progress, for the program that started it. */

import type { ControlAction } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { EventStream } from '@lockstep/worker';
import type { OnRunAgain, RunChanges } from './dashboard/owner.ts';
import type { ListeningEvent, TrainingEvent } from './events.ts';
import { LoadedModel } from './model/load-model.ts';
import { type ModelFormat, modelFileOf, samplesOf } from './model/model-file.ts';
import type { TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import type { Prepared } from './prepared.ts';
import type { WrittenCheckpoint } from './record/recorder.ts';
import type { Report } from './record/report.ts';
import { changedOptions, prepareOnSite, trainPlannedAtStart } from './run/phases.ts';
import { runTraining, type Trained } from './run/run-training.ts';
import { type Verification, verifyRun } from './run/verify.ts';
import type { Site } from './site/site.ts';
import { errorMessage } from './words.ts';

/**
 * A training run in progress: an async iterable of its events.
 * A loop over the run may be slow or end early: the run never waits for it. If a loop falls behind, it gets only the
 * newest of the unread steps, and the last 1,024 of other events. The first loop begins with the first event; if the
 * run fails, loops throw its error at their end.
 */
export class TrainingRun implements AsyncIterable<TrainingEvent>, AsyncDisposable {
  /**
   * Resolves when the run has ended: with its last step, or earlier if it was stopped.
   * @throws ConfigurationError if there can be no such run, and nothing was started; TrainingError if it could not go
   * on
   */
  readonly result: Promise<TrainingResult>;
  readonly #ended: Promise<TrainingResult>;
  readonly #events = new EventStream<TrainingEvent>({
    replaces: (older, newer) => older.type === 'step' && newer.type === 'step',
  });
  readonly #stopping = new AbortController();
  readonly #platform: Platform;
  #listening: ListeningEvent | undefined;
  readonly #onListening = new Set<(listening: ListeningEvent) => void>();
  /** The server, across runs; undefined in a page. */
  readonly #site: Site | undefined;
  /** Whether the site ends with this run, because it was the first run there. */
  readonly #ownsSite: boolean;
  #close = async (): Promise<void> => {};
  /** Actions requested before the run could be controlled. */
  readonly #asked: ControlAction[] = [];
  /** The newest run on the server, shared by all its runs so that none between it and the first is kept in memory. */
  #server: { newest: TrainingRun } = { newest: this };
  /** Whether there is a next run, or one is starting. */
  #hasNext = false;
  readonly #onNext = new Set<(next: TrainingRun) => void>();
  /** Called when the run can be controlled. */
  #onBegun = (): void => {};
  #control = (action: ControlAction): void => void this.#asked.push(action);

  /** @param site of the previous run, which this one replaces */
  constructor(options: TrainOptions, platform: Platform, site?: Site) {
    this.#platform = platform;
    this.#ownsSite = site === undefined;
    this.#site = site ?? platform.host?.createSite((event) => this.#emit(event));
    // Anything but a signal is refused with the other options.
    const signal = options.signal instanceof AbortSignal ? options.signal : undefined;
    const stop = (): void => this.#stopping.abort();
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    this.#ended = this.#train(options).finally(() => signal?.removeEventListener('abort', stop));
    this.#ended.catch((error: unknown) => this.#events.end({ error }));
    // If there is neither a loop nor a wait for the result, a failure shows as an unhandled rejection.
    this.result = this.#ended.then((result) => result);
  }

  /** Addresses at which the run can be joined and watched. @throws Error if the run ends without a server */
  get addresses(): Promise<ListeningEvent['addresses']> {
    return this.#firstListening().then(({ addresses }) => addresses);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<TrainingEvent> {
    // The loop throws the same error as the result.
    this.result.catch(() => {});
    return this.#events[Symbol.asyncIterator]();
  }

  /** Starts a run with `listen.waitForStart`, with the workers that have joined. */
  start(): void {
    this.#control('start');
  }

  /** Pauses the run after the current step, until `resume`. */
  pause(): void {
    this.#control('pause');
  }

  /** Resumes the run after `pause`. */
  resume(): void {
    this.#control('resume');
  }

  /**
   * Resolves with the run that its owner starts from the page after this one, or with the newest one if it has already
   * begun; never if the server does not stay.
   */
  nextRun(): Promise<TrainingRun> {
    const { newest } = this.#server;
    return newest === this ? new Promise((resolve) => void this.#onNext.add(resolve)) : Promise.resolve(newest);
  }

  /** Ends the run after the current step, with a last checkpoint if it writes any; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // A run stopped before it has data has no result, which is no failure.
    this.result.catch(() => {});
    await this.#ended.catch(() => {});
  }

  /** Stops the run, and closes what stays after it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    const { newest } = this.#server;
    if (newest !== this) await newest[Symbol.asyncDispose]();
    await this.#close();
    await this.#closeSite();
  }

  async #closeSite(): Promise<void> {
    if (this.#ownsSite) await this.#site?.close();
  }

  async #train(asked: TrainOptions): Promise<TrainingResult> {
    // Lets the caller start its first loop before anything happens.
    await Promise.resolve();
    try {
      const trained = await this.#trainOnSite(asked);
      const { ending, report } = trained;
      const result = await resultOf(trained, this.#platform);
      if (ending?.type === 'failed') throw new TrainingError(ending.message, result);
      this.#emit({ type: ending?.type ?? 'finished', report });
      this.#events.end();
      return result;
    } catch (error) {
      // The caller must dispose of a run that could not go on.
      if (!(error instanceof TrainingError)) await this.#closeSite();
      throw error;
    }
  }

  async #trainOnSite(asked: TrainOptions): Promise<TrainedRun> {
    const { signal } = this.#stopping;
    const [platform, site] = [this.#platform, this.#site];
    const setting = { platform, site, signal, emit: (event: TrainingEvent) => this.#emit(event) };
    const { prepared, options } = await prepareOnSite(asked, setting);
    const onControl = (control: (action: ControlAction) => void): void => {
      this.#control = control;
      for (const action of this.#asked.splice(0)) control(action);
      this.#onBegun();
    };
    let settled = options;
    const onRunAgain: OnRunAgain | undefined = prepared.listen?.stay
      ? async (changes) => {
          await this.#ended.catch(() => {});
          return this.#beginNext(changes, settled);
        }
      : undefined;
    const job = { ...setting, prepared, onStep: options.onStep, onControl, onRunAgain };
    const done = prepared.planAtStart
      ? await trainPlannedAtStart(job, options)
      : { prepared, options, trained: await runTraining(job) };
    settled = done.options;
    this.#close = done.trained.close;
    if (!done.prepared.listen?.stay) await this.#closeSite();
    return { ...done.trained, prepared: done.prepared };
  }

  /** @returns why there can be no such run, in which case another may follow */
  async #beginNext(changes: RunChanges, options: TrainOptions): Promise<string | undefined> {
    if (this.#hasNext) return 'another run begins already';
    this.#hasNext = true;
    try {
      const next = new TrainingRun(await changedOptions(options, changes), this.#platform, this.#site);
      next.#server = this.#server;
      const begun = new Promise<void>((resolve) => {
        next.#onBegun = resolve;
      });
      // A failure before the start is shown on the page, a later one to those who follow the run.
      next.result.catch(() => {});
      await Promise.race([begun, next.#ended]);
      this.#server.newest = next;
      for (const resolve of this.#onNext) resolve(next);
      await this.#close();
      // Frees the rest of this run, unless someone has asked for its result.
      this.#close = async () => {};
      this.#control = () => {};
      return undefined;
    } catch (error) {
      this.#hasNext = false;
      return errorMessage(error);
    }
  }

  #emit(event: TrainingEvent): void {
    if (event.type === 'listening') {
      this.#listening = event;
      for (const resolve of this.#onListening) resolve(event);
    }
    this.#events.emit(event);
  }

  #firstListening(): Promise<ListeningEvent> {
    if (this.#listening) return Promise.resolve(this.#listening);
    return new Promise((resolve, reject) => {
      this.#onListening.add(resolve);
      this.#ended.then(
        () => reject(new Error('addresses: expected a run that listens, got one that does not')),
        reject,
      );
    });
  }
}

/** How a run ended: every step taken, stopped earlier, or unable to go on. */
export type TrainingOutcome = 'finished' | 'stopped' | 'failed';

export interface VerifyRequest {
  /** Aborted to end the second run early. */
  readonly signal?: AbortSignal | undefined;
  /** Receives one line for people at the beginning, and one at the end. */
  readonly log?: ((line: string) => void) | undefined;
}

/** The result of a run: weights, report, and the model with them. */
export class TrainingResult {
  readonly outcome: TrainingOutcome;
  /** Who stopped the run: the program that started it, or its owner from the dashboard; undefined if nobody did. */
  readonly stoppedBy: 'program' | 'owner' | undefined;
  readonly report: Report;
  /** [parameters], in model order. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** The newest checkpoint on disk, if the run wrote any. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  readonly #prepared: Prepared;
  readonly #platform: Platform;
  readonly #backend: HostBackend;
  #model: LoadedModel | undefined;

  /** @param backend not in use by any other thread */
  constructor(trained: TrainedRun, platform: Platform, backend: HostBackend) {
    const { ending, prepared } = trained;
    this.outcome = ending?.type ?? 'finished';
    if (ending?.type === 'stopped') this.stoppedBy = ending.code === 'owner' ? 'owner' : 'program';
    this.report = trained.report;
    this.weights = trained.weights;
    this.checkpoint = trained.checkpoint;
    this.#prepared = prepared;
    this.#platform = platform;
    this.#backend = backend;
  }

  /** Allocates memory for the weights on first use, which the caller must free with `dispose`. */
  get model(): LoadedModel {
    const { model, train, reading } = this.#prepared;
    const { weightsSha256 } = this.report;
    const description = { model, ...samplesOf(train), reading, metadata: {} };
    this.#model ??= new LoadedModel({ ...description, weights: this.weights, weightsSha256 }, this.#backend);
    return this.#model;
  }

  /** The bytes of a model file, for `loadModel` and other programs; by default safetensors. */
  modelFile(format: ModelFormat = 'safetensors'): Uint8Array {
    const { report, weights } = this;
    const { weightsSha256, steps } = report;
    return modelFileOf({ prepared: this.#prepared, weights, weightsSha256, steps }, format);
  }

  /** Repeats the steps in this process, and compares the weights; `verified` is null if they cannot be compared. */
  verify({ signal = new AbortController().signal, log = () => {} }: VerifyRequest = {}): Promise<Verification> {
    const [prepared, platform, { report }] = [this.#prepared, this.#platform, this];
    return verifyRun({ prepared, platform, report, isFinished: this.outcome === 'finished', signal, log });
  }
}

/** A run that has ended, with its data and settings. */
export type TrainedRun = Trained & { readonly prepared: Prepared };

export async function resultOf(trained: TrainedRun, platform: Platform): Promise<TrainingResult> {
  const { backend } = await openBackend('auto');
  return new TrainingResult(trained, platform, backend);
}

/** The error of a run that could not go on. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  /** The weights and the report up to the failure. */
  readonly result: TrainingResult;

  constructor(message: string, result: TrainingResult) {
    super(message);
    this.result = result;
  }
}
