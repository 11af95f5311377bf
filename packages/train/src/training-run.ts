/** A training run in progress, for the program that started it, with its phases and the runs that follow on its server. */

import { errorMessage } from '@lockstep/data/shown';
import type { OptimizerType, ScheduleType } from '@lockstep/nn';
import {
  defaultSeed,
  type Prepared,
  prepare,
  prepareServer,
  type TrainingData,
  type TrainOptions,
  textFor,
  uploadedData,
} from '@lockstep/prepare';
import type { RunChanges } from '@lockstep/protocol';
import { type ListeningEvent, readyWorkers, type TrainingEvent } from '@lockstep/record';
import type { ControlAction } from '@lockstep/rules';
import type { OnRunAgain, Site, UploadedData } from '@lockstep/server';
import { openBackend } from '@lockstep/tensor';
import { EventStream } from '@lockstep/worker';
import { runTraining, type Trained, type TrainingJob } from './run-training.ts';
import type { TrainingPlatform } from './training-platform.ts';
import { type TrainedRun, TrainingError, TrainingResult } from './training-result.ts';

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
  readonly #platform: TrainingPlatform;
  /** Addresses at which the server listens. */
  readonly #listening = deferred<ListeningEvent>();
  /** The server, across runs; undefined in a page. */
  readonly #site: Site | undefined;
  /** Whether the site ends with this run, because it was the first run there. */
  readonly #ownsSite: boolean;
  #close = async (): Promise<void> => {};
  /** Actions requested before the run could be controlled. */
  readonly #asked: ControlAction[] = [];
  #control = (action: ControlAction): void => void this.#asked.push(action);
  #weights = (): Float32Array<ArrayBuffer> | undefined => undefined;
  /** Resolves when the run can be controlled. */
  readonly #begun = deferred<void>();
  /** The newest run on the server, shared by all its runs so that none between it and the first is kept in memory. */
  #server: { newest: TrainingRun } = { newest: this };
  readonly #next = deferred<TrainingRun>();
  /** Whether there is a next run, or one is starting. */
  #hasNext = false;

  /** @param site of the previous run, which this one replaces */
  constructor(options: TrainOptions, platform: TrainingPlatform, site?: Site) {
    this.#platform = platform;
    this.#ownsSite = site === undefined;
    this.#site = site ?? platform.host?.createSite((event) => this.#emit(event));
    // Anything but a signal is refused with the other options.
    const signal = options?.signal instanceof AbortSignal ? options.signal : undefined;
    const stop = (): void => this.#stopping.abort();
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    this.#ended = this.#train(options).finally(() => signal?.removeEventListener('abort', stop));
    this.#ended.catch((error: unknown) => this.#events.end({ error }));
    this.#ended.then(
      () => this.#listening.reject(new Error('addresses: expected a run that listens, got one that does not')),
      this.#listening.reject,
    );
    // If there is neither a loop nor a wait for the result, a failure shows as an unhandled rejection.
    this.result = this.#ended.then((result) => result);
  }

  /** Addresses at which the run can be joined and watched. @throws Error if the run ends without a server */
  get addresses(): Promise<ListeningEvent['addresses']> {
    return this.#listening.promise.then(
      ({ addresses }) => addresses,
      (error: unknown) => {
        // Whoever waits for the addresses gets the error of the result.
        this.result.catch(() => {});
        throw error;
      },
    );
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
   * Copies the current weights, [parameters] in model order. To be called in `onStep`, between whose calls they change;
   * undefined before the run begins and after it has ended.
   */
  weights(): Float32Array<ArrayBuffer> | undefined {
    return this.#weights();
  }

  /**
   * Resolves with the run that its owner starts from the page after this one, or with the newest one if it has already
   * begun; never if the server does not stay.
   */
  nextRun(): Promise<TrainingRun> {
    const { newest } = this.#server;
    return newest === this ? this.#next.promise : Promise.resolve(newest);
  }

  /**
   * Starts another run after the end of this one, even if this one could not go on, with its workers and viewers if
   * `listen.stay` keeps them.
   * @throws Error if this run never began, another run follows already, or there can be no such run
   */
  async runAgain(options: TrainOptions): Promise<TrainingRun> {
    await this.#ended.catch((error: unknown) => {
      if (!(error instanceof TrainingError)) throw error;
    });
    return this.#beginNext(() => options);
  }

  /**
   * Ends the run after the current step, with a last checkpoint if it writes any; resolves when it has ended. Do not wait
   * for it in `onEpoch`, because the end waits for the last call of `onEpoch`.
   */
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

  #emit(event: TrainingEvent): void {
    if (event.type === 'listening') this.#listening.resolve(event);
    this.#events.emit(event);
  }

  async #train(asked: TrainOptions): Promise<TrainingResult> {
    // Lets the caller start its first loop before anything happens.
    await Promise.resolve();
    try {
      const trained = await this.#trainOnSite(asked);
      const { ending, report } = trained;
      const { backend } = await openBackend('auto');
      const result = new TrainingResult(trained, this.#platform, backend);
      if (ending?.type === 'failed') throw new TrainingError(ending, result);
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
    let settled = options;
    const onRunAgain: OnRunAgain = async (changes) => {
      await this.#ended.catch(() => {});
      return this.#beginNext(() => changedOptions(settled, changes)).then(() => undefined, errorMessage);
    };
    const job: TrainingJob = {
      ...{ ...setting, prepared, onStep: options.onStep, onEpoch: options.onEpoch },
      onControl: (control, weights) => {
        this.#control = control;
        this.#weights = weights;
        for (const action of this.#asked.splice(0)) control(action);
        this.#begun.resolve();
      },
      onRunAgain: prepared.listen?.stay ? onRunAgain : undefined,
    };
    const done = prepared.planAtStart
      ? await trainPlannedAtStart(job, options)
      : { prepared, options, trained: await runTraining(job) };
    settled = done.options;
    this.#weights = () => undefined;
    this.#close = done.trained.close;
    if (!done.prepared.listen?.stay) await this.#closeSite();
    return { ...done.trained, prepared: done.prepared };
  }

  /** @throws Error if another run has begun, or there can be no such run, in which case another may follow */
  async #beginNext(options: () => TrainOptions | Promise<TrainOptions>): Promise<TrainingRun> {
    if (this.#hasNext) throw new Error('another run is already starting');
    this.#hasNext = true;
    try {
      const next = new TrainingRun(await options(), this.#platform, this.#site);
      next.#server = this.#server;
      // A failure before the start is shown on the page, a later one to those who follow the run.
      next.result.catch(() => {});
      await Promise.race([next.#begun.promise, next.#ended]);
      this.#server.newest = next;
      this.#next.resolve(next);
      await this.#close();
      // Frees the rest of this run, unless someone has asked for its result.
      this.#close = async () => {};
      this.#control = () => {};
      return next;
    } catch (error) {
      this.#hasNext = false;
      throw error;
    }
  }
}

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/** A promise to settle later; a rejection that nobody waits for is no failure. */
function deferred<Value>(): Deferred<Value> {
  let settle: Omit<Deferred<Value>, 'promise'> | undefined;
  const promise = new Promise<Value>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => {});
  return { promise, ...settle! };
}

type Setting = Pick<TrainingJob, 'platform' | 'site' | 'emit' | 'signal'>;

interface PreparedRun {
  /** The requested options, with the uploaded data. */
  readonly options: TrainOptions;
  readonly prepared: Prepared;
}

/**
 * Prepares a run on its site: if data are to be uploaded, the server opens first.
 * @throws ConfigurationError if there can be no such run; AbortError if it is stopped before it has its data
 */
async function prepareOnSite(options: TrainOptions, setting: Setting): Promise<PreparedRun> {
  const { platform, site, emit, signal } = setting;
  if (options?.data !== uploadedData || !site) return { options, prepared: await prepare(options, platform, site) };
  const settings = await prepareServer(options, platform);
  await site.open(settings);
  emit({ type: 'note', message: 'Waiting for data: upload it on the dashboard.' });
  const prepared = await site.receiveData(settings, {
    seed: options.seed ?? defaultSeed,
    model: textFor(options.model),
    signal,
    prepare: (data) => prepare({ ...options, data }, platform, site),
  });
  const data = prepared.data as UploadedData;
  emit({ type: 'note', message: data.found });
  // No other run needs the files unless the server stays.
  if (!prepared.listen?.stay) site.forgetData();
  return { options: { ...options, data }, prepared };
}

/**
 * Gathers workers in a run that takes no steps; when it is started, trains another run on its server, to which the
 * workers move. So nothing that depends on the batch changes within a run. A run that is stopped before its start is
 * returned itself.
 */
async function trainPlannedAtStart(
  job: TrainingJob,
  options: TrainOptions,
): Promise<PreparedRun & { readonly trained: Trained }> {
  const { prepared, platform, site } = job;
  const { train, test, validation, reading, token, listen, heldOut } = prepared;
  const stay = listen?.stay;
  let workers = 0;
  const gathered = await runTraining({
    ...job,
    // Keeps its server for the next run, and writes nothing.
    prepared: {
      ...prepared,
      checkpoint: undefined,
      transcript: undefined,
      listen: listen && { ...listen, waitForStart: true, stay: true },
    },
    onStart(run, recorder) {
      workers = readyWorkers(run.state);
      recorder.stop('planned');
    },
  });
  const { ending } = gathered;
  if (ending?.type !== 'stopped' || ending.code !== 'planned') {
    if (!stay) await gathered.close();
    return { trained: gathered, prepared, options };
  }
  try {
    const most = Math.floor(train.count / (options.microbatch ?? 1));
    const counted = { ...options, expect: Math.max(1, Math.min(workers, most)) };
    const { name, readBy } = prepared.data;
    const data = { name, train, test, reading, readBy };
    const next = await prepare({ ...counted, data, ...(validation && { validation }) }, platform, site);
    const planned: Prepared = { ...next, token, heldOut, ...(next.listen && { listen: { ...next.listen, stay } }) };
    const trained = await runTraining({
      ...{ ...job, prepared: planned, startWorkers: counted.expect },
      onControl(control, weights) {
        job.onControl(control, weights);
        // The viewers and workers move to the new run.
        void gathered.close();
      },
    });
    return { trained, prepared: planned, options: counted };
  } catch (error) {
    await gathered.close();
    throw error;
  }
}

/**
 * The options of the next run on a server. Checkpoints and initial weights of another model belong to the first run
 * only; another optimizer has its own settings.
 */
async function changedOptions(
  { checkpoint: _checkpoint, transcript: _transcript, ...options }: TrainOptions,
  changes: RunChanges,
): Promise<TrainOptions> {
  const { seed, model, batch, epochs } = changes;
  return {
    ...options,
    ...(seed !== undefined && { seed, data: await splitBy(options.data, seed) }),
    ...(model !== undefined && { model, initialWeights: undefined, transfer: undefined, freeze: undefined }),
    ...(batch !== undefined && { batch }),
    // A limit of steps would cut the requested epochs short.
    ...(epochs !== undefined && { epochs, steps: undefined }),
    optimizer: changedOptimizer(options.optimizer, changes),
  };
}

function changedOptimizer(
  before: TrainOptions['optimizer'],
  { optimizer, learningRate, schedule }: RunChanges,
): TrainOptions['optimizer'] {
  const given = typeof before === 'string' ? { type: before } : before;
  // Unknown names of optimizers and schedules are refused with the other options.
  const kept = optimizer === undefined ? given : { type: optimizer as OptimizerType };
  if (learningRate === undefined && schedule === undefined) return kept;
  return {
    ...kept,
    ...(learningRate !== undefined && { learningRate }),
    ...(schedule !== undefined && { schedule: schedule as ScheduleType }),
  };
}

export async function splitBy(data: TrainOptions['data'], seed: number): Promise<string | TrainingData | undefined> {
  return typeof data === 'object' && data.splitBy ? data.splitBy(seed) : data;
}
