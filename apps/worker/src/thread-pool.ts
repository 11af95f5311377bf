/** Threads that execute commands together, one command at a time. */
import { Worker } from 'node:worker_threads';
import type { ComputeChoice } from '@lockstep/train';
import {
  type Command,
  commands,
  control,
  type Started,
  type ThreadMessage,
  type ThreadSetup,
} from './thread-protocol.ts';

export class ThreadPool {
  readonly size: number;
  /** See `control`. */
  readonly state: Int32Array;
  readonly #threads: readonly Worker[];
  readonly #started: Promise<Started>;
  #resolveStarted: (started: Started) => void = () => {};
  #lastCommand: Promise<void> = Promise.resolve();
  /** Ends the command that is being executed. */
  #settle = (_failure?: Error): void => {};
  #hasFinished = false;
  #failure: Error | undefined;
  /** Why a thread has ended; without it no command can be finished. */
  #ended: Error | undefined;

  constructor(backend: ComputeChoice, size: number) {
    const shared = new SharedArrayBuffer(control.length * Int32Array.BYTES_PER_ELEMENT);
    this.size = size;
    this.state = new Int32Array(shared);
    this.#started = new Promise((resolve) => {
      this.#resolveStarted = resolve;
    });
    this.#threads = Array.from({ length: size }, (_, index) =>
      this.#createThread({ backend, index, threads: size, control: shared }),
    );
  }

  /** @throws Error with one sentence where a thread cannot open its backend */
  async start(): Promise<Started> {
    await this.execute('start');
    return this.#started;
  }

  /**
   * Executes a command on all threads, after those before it.
   * @param payload the message that the command comes with
   * @throws Error of the first thread that failed, once all have finished
   */
  execute(command: Command, payload?: unknown): Promise<void> {
    const done = this.#lastCommand.then(() => this.#issue(command, payload));
    this.#lastCommand = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  async #issue(command: Command, payload: unknown): Promise<void> {
    if (this.#ended) throw this.#ended;
    this.#hasFinished = false;
    this.#failure = undefined;
    for (const index of [control.computed, control.finished, control.failed]) this.state[index] = 0;
    const done = new Promise<void>((resolve, reject) => {
      this.#settle = (failure) => (failure ? reject(failure) : resolve());
    });
    if (payload !== undefined) for (const thread of this.#threads) thread.postMessage(payload);
    this.state[control.command] = commands[command];
    Atomics.add(this.state, control.sequence, 1);
    Atomics.notify(this.state, control.sequence);
    await done;
  }

  #createThread(setup: ThreadSetup): Worker {
    const thread = new Worker(new URL('./compute-thread.js', import.meta.url), {
      workerData: setup,
      // Options for modules or debuggers are meant for the socket's thread; V8's flags hold for the process anyway.
      execArgv: [],
    });
    thread.on('message', (message: ThreadMessage) => this.#handleMessage(message));
    thread.on('error', (error) => this.#threadEnded(error instanceof Error ? error : new Error(String(error))));
    thread.on('exit', () => this.#threadEnded(new Error('the compute thread ended')));
    return thread;
  }

  #handleMessage(message: ThreadMessage): void {
    switch (message.type) {
      case 'started':
        this.#resolveStarted(message);
        return;
      case 'finished':
        this.#hasFinished = true;
        break;
      case 'failed':
        this.#failure = new Error(message.message);
        break;
      default:
        message satisfies never;
    }
    if (this.#hasFinished && (this.state[control.failed] === 0 || this.#failure)) this.#settle(this.#failure);
  }

  #threadEnded(error: Error): void {
    this.#ended ??= error;
    this.#settle(this.#ended);
  }
}
