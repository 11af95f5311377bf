/** A worker in a run, as the joining program sees it: an end to wait for, and events for any number of readers. */
import { configurationError, optionName } from '@lockstep/command/options';

/** Events of a worker that has joined, or tries to. */
export type WorkerEvent =
  /** The requested backend is still opening after a second; this can take a minute. */
  | { readonly type: 'opening'; readonly backend: string }
  /** The backend in use, and why nothing faster is used: one sentence each. */
  | { readonly type: 'opened'; readonly backend: string; readonly threads: number; readonly reasons: readonly string[] }
  /** The coordinator has admitted the worker; `returned` if it had done so before. */
  | { readonly type: 'joined'; readonly id: string; readonly returned: boolean }
  /** The numerics check has passed: the worker computes from now on. */
  | { readonly type: 'ready' }
  /** Totals so far. If a reader lags behind, the newest replaces earlier ones. */
  | {
      readonly type: 'computed';
      /** The last step computed, from 1. */
      readonly step: number;
      readonly shards: number;
      readonly samples: number;
      readonly computeMs: number;
    }
  /** The connection broke, or the coordinator was not reached; the worker tries again. */
  | { readonly type: 'lost' | 'unreached'; readonly message: string };

/** How taking part ended, if nothing failed. */
export interface JoinEnd {
  /** `finished`: the run is over; `left`: the worker left before that. */
  readonly type: 'finished' | 'left';
  readonly message: string;
}

/** A worker could not join, or could not go on. */
export class JoinError extends Error {
  override readonly name = 'JoinError';
  /** Turned away for good; the compute failed; no coordinator was reached. */
  readonly reason: 'refused' | 'failed' | 'unreachable';

  /** @param options the cause: the system's error, if it kept a coordinator from being reached */
  constructor(reason: JoinError['reason'], message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.reason = reason;
  }
}

/** Context of a worker while it takes part. */
export interface JoinContext<Event = WorkerEvent> {
  readonly emit: (event: Event) => void;
  /** Aborted when the worker must leave. */
  readonly leaving: AbortSignal;
}

/**
 * A running worker or relay, as an async iterable of its events.
 * A loop over it may lag or end early; the worker goes on. Loops throw if `done` rejects.
 */
export class JoinedWorker<Event extends { readonly type: string } = WorkerEvent> implements AsyncIterable<Event> {
  /**
   * Resolves when the run is over or this worker has left.
   * @throws ConfigurationError if the options or the address are invalid, JoinError if it was not let in or could not
   * go on
   */
  readonly done: Promise<JoinEnd>;
  readonly #ended: Promise<JoinEnd>;
  readonly #events = new EventStream<Event>({
    replaces: (older, newer) => older.type === 'computed' && newer.type === 'computed',
  });
  readonly #leaving = new AbortController();

  /** @param takePart resolves when the worker has ended */
  constructor(takePart: (context: JoinContext<Event>) => Promise<JoinEnd>, signal?: AbortSignal) {
    const leave = (): void => this.#leaving.abort();
    if (signal?.aborted) leave();
    const isSignal = signal instanceof AbortSignal;
    if (isSignal) signal.addEventListener('abort', leave);
    const emit = (event: Event): void => this.#events.emit(event);
    // Start asynchronously, so that the caller can begin its first loop before any event.
    this.#ended = Promise.resolve()
      .then(() => {
        if (isSignal || signal === undefined) return takePart({ emit, leaving: this.#leaving.signal });
        throw configurationError`${optionName('signal')}: expected an AbortSignal, got ${String(signal)}`;
      })
      .finally(() => {
        if (isSignal) signal.removeEventListener('abort', leave);
      });
    this.#ended.then(
      () => this.#events.end(),
      (error: unknown) => this.#events.end({ error }),
    );
    // A separate promise, so that a failure without a loop or a wait for `done` shows as an unhandled rejection.
    this.done = this.#ended.then((end) => end);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Event> {
    // The loop itself throws the error of `done`.
    this.done.catch(() => {});
    return this.#events[Symbol.asyncIterator]();
  }

  /** Leaves the run, which hands the worker's shards to others; resolves once the worker has left. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#ended.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }
}

interface EventStreamOptions<Event> {
  /** Whether a newer event replaces the older one queued just before it, as a later step does. */
  readonly replaces: (older: Event, newer: Event) => boolean;
}

/** Most events queued for one reader; beyond this the oldest are dropped. */
const maxWaiting = 1_024;

/**
 * Events for any number of readers, each with its own queue. The first reader starts with the
 * first event, a later reader with the next one. Unread events are replaced or dropped, so memory stays bounded and nothing waits for a slow
 * reader.
 */
export class EventStream<Event> implements AsyncIterable<Event> {
  readonly #options: EventStreamOptions<Event>;
  readonly #readers = new Set<Reader<Event>>();
  /** Queues events until the first reader comes. */
  #first: Reader<Event> | undefined;
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: EventStreamOptions<Event>) {
    this.#options = options;
    this.#first = this.#open();
  }

  emit(event: Event): void {
    for (const reader of this.#readers) reader.add(event);
  }

  /** Ends the stream; with an error, readers throw it after their last event. */
  end(failure?: { readonly error: unknown }): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#failure = failure;
    for (const reader of this.#readers) reader.end(failure);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Event> {
    const reader = this.#first ?? this.#open();
    this.#first = undefined;
    return reader;
  }

  #open(): Reader<Event> {
    const reader = new Reader(this.#options, () => void this.#readers.delete(reader));
    this.#readers.add(reader);
    if (this.#hasEnded) reader.end(this.#failure);
    return reader;
  }
}

interface Waiting<Event> {
  resolve(result: IteratorResult<Event, undefined>): void;
  reject(error: unknown): void;
}

const done = { done: true, value: undefined } as const;

class Reader<Event> implements AsyncIterableIterator<Event> {
  readonly #options: EventStreamOptions<Event>;
  readonly #detach: () => void;
  #queue: Event[] = [];
  /** Pending calls of `next`. */
  #waiting: Waiting<Event>[] = [];
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: EventStreamOptions<Event>, detach: () => void) {
    this.#options = options;
    this.#detach = detach;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  add(event: Event): void {
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting.resolve({ done: false, value: event });
      return;
    }
    const last = this.#queue.at(-1);
    if (last !== undefined && this.#options.replaces(last, event)) this.#queue.pop();
    this.#queue.push(event);
    if (this.#queue.length > maxWaiting) this.#queue.shift();
  }

  end(failure: { readonly error: unknown } | undefined): void {
    this.#hasEnded = true;
    this.#failure = failure;
    this.#detach();
    for (const waiting of this.#waiting.splice(0)) this.#finish(waiting);
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject };
      const event = this.#queue.shift();
      if (event !== undefined) resolve({ done: false, value: event });
      else if (this.#hasEnded) this.#finish(waiting);
      else this.#waiting.push(waiting);
    });
  }

  /** Called when a loop is left early; drops the reader's events. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#queue = [];
    this.end(undefined);
    return done;
  }

  /** Settles one pending `next`; throws a failure only once. */
  #finish({ resolve, reject }: Waiting<Event>): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) reject(failure.error);
    else resolve(done);
  }
}
