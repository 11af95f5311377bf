/** A worker in the coordinator's process, alone or with others; no messages are sent over a transport. */

import type { InlineCompute, InlineResult, InlineSum } from '@lockstep/compute';
import { type Clock, errorText, type MessageOf, protocolVersion } from '@lockstep/protocol';
import { type CheckedMessage, type Shard, shardText } from '@lockstep/rules';
import type { RuleMessage, WorkerConnection } from './connections.ts';

interface InlineWorkerOptions {
  readonly compute: InlineCompute;
  readonly name: string;
  readonly clock: Clock;
  /** Whether the run may have other workers: if so, it survives the end of this connection, and the worker rejoins. */
  readonly hasOthers?: boolean;
}

/** The run's callbacks for an inline worker. */
interface InlinePort {
  readonly report: (message: CheckedMessage) => void;
  /** Reports a shard's gradient; the run adds, holds or drops its sum. */
  readonly finish: (message: InlineGradientMessage, sum: InlineSum | undefined) => void;
  /** Releases the memory of a sum that no longer counts. */
  readonly drop: (sum: InlineSum) => void;
  readonly reconnect: () => void;
  /** Reports in one sentence why the worker cannot go on. */
  readonly fail: (message: string) => void;
}

export type InlineGradientMessage = Extract<CheckedMessage, { type: 'gradient' }>;

interface Task extends Shard {
  readonly step: number;
  /** Whether the run does not need its result any more. */
  isCanceled?: boolean;
  /** Whether the run has gone back since, so that its result does not count. */
  isStale?: boolean;
}

/** Other events wait for at most this long, or for one shard if that takes longer. */
const turnMs = 10;

export class InlineWorker implements WorkerConnection {
  readonly #options: InlineWorkerOptions;
  #port: InlinePort | undefined;
  #tasks: Task[] = [];
  #weightsStep = -1;
  /** Whether `#work` is running or scheduled. */
  #isAwake = false;
  #computing: Task | undefined;
  #resumeKey: string | undefined;
  /** Whether the run refused the worker for good. */
  #isRefused = false;
  #comesBack = false;
  #hasEnded = false;

  constructor(options: InlineWorkerOptions) {
    this.#options = options;
  }

  /** Returns the worker's `hello`, like that of a remote worker. */
  hello(token: string | undefined): MessageOf<'hello'> {
    const { name, compute } = this.#options;
    const { backend, numericMode, threads, vectorBits } = compute;
    const identity = { kind: 'local', name, backend, numericMode, threads } as const;
    return {
      ...{ type: 'hello', protocol: protocolVersion, ...identity },
      ...(vectorBits !== undefined && { vectorBits }),
      ...(token !== undefined && { token }),
      ...(this.#resumeKey !== undefined && { resumeKey: this.#resumeKey }),
    };
  }

  /** Begins a first or new connection. */
  attach(port: InlinePort): void {
    this.#port = port;
    this.#weightsStep = -1;
    this.#hasEnded = false;
  }

  send(message: RuleMessage): void {
    switch (message.type) {
      case 'cancel':
        this.#tasks = this.#tasks.filter((task) => !isSame(task, message));
        if (this.#computing && isSame(this.#computing, message)) this.#computing.isCanceled = true;
        return;
      case 'goBack':
        this.#goBack(message.step);
        return;
      case 'ping':
        this.#options.clock.after(0, () => this.#report({ type: 'pong', sentAtMs: message.sentAtMs }));
        return;
      case 'finish':
        this.#end();
        return;
      // The run closes the connection next, with the same message.
      case 'refuse':
        this.#isRefused = true;
        return;
      case 'welcome':
        this.#resumeKey = message.resumeKey;
        return;
      case 'pong':
      case 'injectFault':
        return;
      default:
        message satisfies never;
    }
  }

  #goBack(step: number): void {
    this.#tasks = [];
    this.#weightsStep = Math.min(this.#weightsStep, step - 1);
    if (this.#computing) Object.assign(this.#computing, { isCanceled: true, isStale: true });
    this.#options.clock.after(0, () => this.#report({ type: 'wentBack' }));
  }

  sendNumericsCheck(): void {
    this.#options.clock.after(0, () => {
      this.#options.compute.checkNumerics().then(
        (result) => this.#report({ type: 'numericsResult', ...result }),
        (error: unknown) => this.#fail(error),
      );
    });
  }

  sendWeights(step: number): void {
    this.#weightsStep = step;
    this.#tasks = this.#tasks.filter((task) => task.step >= step);
    this.#wake();
  }

  sendTask(step: number, { lo, n }: Shard): void {
    this.#tasks.push({ step, lo, n });
    this.#wake();
  }

  close(_code: number, reason: string): void {
    if (this.#hasEnded) return;
    this.#end();
    const { hasOthers = false, clock } = this.#options;
    this.#comesBack = hasOthers && !this.#isRefused;
    clock.after(0, () => {
      if (!hasOthers) this.#port?.fail(reason);
      else if (!this.#isAwake) this.#rest();
    });
  }

  /** Rejoins if it should, now that nothing is being computed. */
  #rest(): void {
    this.#isAwake = false;
    if (!this.#comesBack) return;
    this.#comesBack = false;
    this.#port?.reconnect();
  }

  #wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#options.clock.after(0, () => this.#work());
  }

  /** Computes tasks until none is left or other events are due. */
  #work(): void {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + turnMs;
    try {
      for (let task = this.#next(); task; task = this.#next()) {
        this.#computing = task;
        const result = this.#options.compute.compute(task.step, task, () => task.isCanceled === true);
        if (result instanceof Promise) {
          void this.#finishLater(task, result);
          return;
        }
        this.#finish(task, result);
        if (clock.nowMs() < untilMs) continue;
        clock.after(0, () => this.#work());
        return;
      }
      this.#rest();
    } catch (error) {
      this.#fail(error);
    }
  }

  #next(): Task | undefined {
    const index = this.#tasks.findIndex(({ step }) => step === this.#weightsStep);
    return index < 0 || this.#hasEnded ? undefined : this.#tasks.splice(index, 1)[0];
  }

  async #finishLater(task: Task, result: Promise<InlineResult>): Promise<void> {
    try {
      this.#finish(task, await result);
      this.#options.clock.after(0, () => this.#work());
    } catch (error) {
      this.#fail(error);
    }
  }

  #finish(task: Task, { sum, computeMs }: InlineResult): void {
    const { step, lo, n } = task;
    this.#computing = undefined;
    if (task.isStale && sum) this.#port?.drop(sum);
    if (task.isStale || (task.isCanceled && sum === undefined)) return;
    // If the weights have changed meanwhile the numbers are meaningless; the rules ignore them as a late result.
    if (sum !== undefined || step !== this.#weightsStep) {
      this.#port?.finish({ type: 'gradient', step, lo, n, computeMs }, sum);
      return;
    }
    const message = `the gradient of ${shardText({ lo, n })} is not finite`;
    this.#report({ type: 'taskError', step, lo, n, code: 'non-finite', message });
  }

  #report(message: CheckedMessage): void {
    if (!this.#hasEnded) this.#port?.report(message);
  }

  #fail(error: unknown): void {
    if (this.#hasEnded) return;
    this.#end();
    this.#port?.fail(errorText(error));
  }

  #end(): void {
    this.#hasEnded = true;
    this.#tasks = [];
    if (this.#computing) this.#computing.isCanceled = true;
  }
}

function isSame(task: Task, { step, lo, n }: Task): boolean {
  return task.step === step && task.lo === lo && task.n === n;
}
