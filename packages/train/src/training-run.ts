/** A run at work, for the program that started it. */
import type { ControlAction } from '@lockstep/training';
import { EventStream } from '@lockstep/worker';
import { errorMessage } from './error-message.ts';
import type { ListeningEvent, TrainingEvent } from './events.ts';
import type { TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { prepareStanding } from './prepare-standing.ts';
import { changedOptions, type OnRunAgain, type RunChanges } from './run/run-again.ts';
import { runTraining, type Trained } from './run/run-training.ts';
import { type PlannedTrained, trainPlannedAtStart } from './run/train-planned-at-start.ts';
import { resultOf, TrainingError, type TrainingResult } from './training-result.ts';

/**
 * A run at work: an async iterable of what happens.
 * A loop over it need not keep up, and may be left: the run never waits for it, and goes on. Of steps that a loop did
 * not get to, the newest stands for all; of other events the last 1,024 wait. The first loop begins with the first
 * event, and where the run fails, loops end by throwing its error.
 */
export class TrainingRun implements AsyncIterable<TrainingEvent>, AsyncDisposable {
  /**
   * Resolves when the run has ended: with its last step, or before that where it was stopped.
   * @throws ConfigurationError where the run cannot be, and nothing was started; TrainingError where it could not go on
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
  #close = async (): Promise<void> => {};
  #closeServer = async (): Promise<void> => {};
  /** What was asked for before the run could do it. */
  readonly #asked: ControlAction[] = [];
  /** Of all runs on one server: the newest one, so that those between it and the first are held by none. */
  #server: { newest: TrainingRun } = { newest: this };
  /** Whether there is a next one, or one that begins. */
  #hasNext = false;
  readonly #onNext = new Set<(next: TrainingRun) => void>();
  /** Called when the run can be controlled. */
  #onBegun = (): void => {};
  #control = (action: ControlAction): void => void this.#asked.push(action);

  constructor(options: TrainOptions, platform: Platform) {
    this.#platform = platform;
    // What is no signal is refused with the other options.
    const signal = options.signal instanceof AbortSignal ? options.signal : undefined;
    const stop = (): void => this.#stopping.abort();
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    this.#ended = this.#train(options).finally(() => signal?.removeEventListener('abort', stop));
    this.#ended.catch((error: unknown) => this.#events.end({ error }));
    // A rejection that nothing handles shows where there is neither a loop nor a wait for the result.
    this.result = this.#ended.then((result) => result);
  }

  /** Where the run can be joined and watched. @throws Error of the run that ends without a server */
  get addresses(): Promise<ListeningEvent['addresses']> {
    return this.#firstListening().then(({ addresses }) => addresses);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<TrainingEvent> {
    // The loop throws what the result would.
    this.result.catch(() => {});
    return this.#events[Symbol.asyncIterator]();
  }

  /** Begins a run with `listen.waitForStart`, with the workers that are there. */
  start(): void {
    this.#control('start');
  }

  /** Takes no step after the one under way, until `resume`. */
  pause(): void {
    this.#control('pause');
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#control('resume');
  }

  /**
   * Resolves with the run that its owner begins from the page after this one, or with the newest one where that was before;
   * never where the server does not stay.
   */
  nextRun(): Promise<TrainingRun> {
    const { newest } = this.#server;
    return newest === this ? new Promise((resolve) => void this.#onNext.add(resolve)) : Promise.resolve(newest);
  }

  /** Ends the run where it is, with a last checkpoint where it writes some; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // Where it has no data yet it leaves no result, which was asked for.
    this.result.catch(() => {});
    await this.#ended.catch(() => {});
  }

  /** Stops the run, and closes what stays after it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    const { newest } = this.#server;
    if (newest !== this) await newest[Symbol.asyncDispose]();
    await this.#close();
    await this.#closeServer();
  }

  async #train(asked: TrainOptions): Promise<TrainingResult> {
    // The caller has its first loop before anything happens.
    await Promise.resolve();
    const { signal } = this.#stopping;
    const emit = (event: TrainingEvent): void => this.#emit(event);
    const setting = { platform: this.#platform, emit, signal };
    const standing = await prepareStanding(asked, setting);
    const { platform, close } = standing;
    const onControl = (control: (action: ControlAction) => void): void => {
      this.#control = control;
      for (const action of this.#asked.splice(0)) control(action);
      this.#onBegun();
    };
    const onRunAgain: OnRunAgain | undefined = standing.prepared.listen?.stay
      ? async (changes) => {
          await this.#ended.catch(() => {});
          return this.#beginNext(changes, options, trained);
        }
      : undefined;
    const { onStep } = standing.options;
    const job = { prepared: standing.prepared, platform, emit, onStep, onControl, onRunAgain, signal };
    const training: Promise<PlannedTrained> = standing.prepared.planAtStart
      ? trainPlannedAtStart(job, standing.options)
      : runTraining(job).then((one) => ({ ...standing, trained: one }));
    const { trained, prepared, options } = await training.catch(async (error: unknown) => {
      await close();
      throw error;
    });
    this.#close = trained.close;
    this.#closeServer = oneAfterAnother(trained.closeServer, close);
    if (!prepared.listen?.stay) await this.#closeServer();
    const { ending, report } = trained;
    const result = await resultOf(trained, { prepared, platform });
    if (ending?.type === 'failed') throw new TrainingError(ending.message, result);
    this.#emit({ type: ending?.type ?? 'finished', report });
    this.#events.end();
    return result;
  }

  /** @returns why there can be no such run, and then there may be another */
  async #beginNext(changes: RunChanges, options: TrainOptions, trained: Trained): Promise<string | undefined> {
    if (this.#hasNext) return 'another run begins already';
    this.#hasNext = true;
    try {
      const { host } = trained;
      const next = new TrainingRun(await changedOptions(options, changes), { ...this.#platform, host });
      next.#server = this.#server;
      const begun = new Promise<void>((resolve) => {
        next.#onBegun = resolve;
      });
      // What ends it before it has begun is said on the page, what ends it later to those who follow it.
      next.result.catch(() => {});
      await Promise.race([begun, next.#ended]);
      this.#server.newest = next;
      for (const resolve of this.#onNext) resolve(next);
      await this.#close();
      // What is left of this run is held by those who have asked for its result.
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

function oneAfterAnother(first: () => Promise<void>, second: () => Promise<void>): () => Promise<void> {
  return async () => {
    await first();
    await second();
  };
}
