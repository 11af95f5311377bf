/** A worker in a run, for the program that joined it. */
import { configurationError, named } from '@lockstep/command/options';
import { EventStream } from './event-stream.ts';

/** What happens to a worker that has joined, or tries to. */
export type WorkerEvent =
  /** The backend that was asked for is still being opened after a second, and can take a minute. */
  | { readonly type: 'opening'; readonly backend: string }
  /** What computes, and why nothing faster does: one sentence each. */
  | { readonly type: 'opened'; readonly backend: string; readonly threads: number; readonly reasons: readonly string[] }
  /** The coordinator has let it in; `returned` where it had before. */
  | { readonly type: 'joined'; readonly id: string; readonly returned: boolean }
  /** Its numerics are checked: it computes from now on. */
  | { readonly type: 'ready' }
  /** All that it has computed so far. Of results that a reader did not get to, the newest stands for all. */
  | {
      readonly type: 'computed';
      /** The last one, from 1. */
      readonly step: number;
      readonly shards: number;
      readonly samples: number;
      readonly computeMs: number;
    }
  /** The connection broke, or the coordinator was not reached; another attempt follows. */
  | { readonly type: 'lost' | 'unreached'; readonly message: string };

/** How taking part ended, where nothing failed. */
export interface JoinEnd {
  /** The run is over; or this worker left before that. */
  readonly type: 'finished' | 'left';
  readonly message: string;
}

/** A worker that did not come in, or could not go on. */
export class JoinError extends Error {
  override readonly name = 'JoinError';
  /** Turned away for good; its compute failed; no coordinator was reached. */
  readonly reason: 'refused' | 'failed' | 'unreachable';

  constructor(reason: JoinError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What a worker needs while it takes part. */
export interface JoinContext<Event = WorkerEvent> {
  readonly emit: (event: Event) => void;
  /** Aborted when the worker is to leave. */
  readonly leaving: AbortSignal;
}

/**
 * A worker at work, or a relay: an async iterable of what happens.
 * A loop over it need not keep up, and may be left: the worker goes on. Loops end by throwing where `done` does.
 */
export class JoinedWorker<Event extends { readonly type: string } = WorkerEvent> implements AsyncIterable<Event> {
  /**
   * Resolves when the run is over, or this worker has left.
   * @throws ConfigurationError where it cannot be, JoinError where it was not let in or could not go on
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
    // The caller has its first loop before anything happens.
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
    // A rejection that nothing handles shows where there is neither a loop nor a wait for the end.
    this.done = this.#ended.then((end) => end);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Event> {
    // The loop throws what `done` would.
    this.done.catch(() => {});
    return this.#events[Symbol.asyncIterator]();
  }

  /** Leaves the run, which gives its work to others; resolves when that is done. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#ended.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }
}
