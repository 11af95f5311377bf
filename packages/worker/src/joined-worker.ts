/** A worker in a run, as the joining program sees it. */
import { configurationError, named } from '@lockstep/command/options';
import { EventStream } from './event-stream.ts';

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

  constructor(reason: JoinError['reason'], message: string) {
    super(message);
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
        throw configurationError`${named('signal')}: expected an AbortSignal, got ${String(signal)}`;
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
