/** Events for any number of readers; a slow reader holds up nothing. */

export interface EventStreamOptions<Event> {
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
