/** The only worker of a run in one process: nothing travels to it, and it leaves its sums where they are added. */
import { type MessageOf, protocolVersion, toMessageText } from '@lockstep/protocol';
import type { Shard } from '../tree.ts';
import type { CheckedMessage } from './events.ts';
import type { Peer, RuleMessage } from './peer.ts';

/** What it found of a shard, which is the whole step. */
export interface InlineResult {
  /** Whether the sum was added; it is not where a number is not finite. */
  readonly isFinite: boolean;
  readonly computeMs: number;
}

export interface InlineCompute {
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  /** Computes the gradient of the numerics check; its hash in hex. */
  checkNumerics(): Promise<{ readonly hash: string; readonly samplesPerMs: number }>;
  /**
   * Computes a shard with the weights of the parameter server, and adds its sum there. What is done at once is no promise.
   * @throws Error with one sentence where it cannot compute any more
   */
  add(step: number, shard: Shard): InlineResult | Promise<InlineResult>;
}

export interface InlineWorkerOptions {
  readonly compute: InlineCompute;
  readonly name: string;
  readonly nowMs: () => number;
  /** Calls back when other events have had their turn. */
  readonly schedule: (callback: () => void) => void;
}

/** What the run takes from it. */
export interface InlinePort {
  readonly report: (message: CheckedMessage) => void;
  /** It cannot go on; one sentence. */
  readonly fail: (message: string) => void;
}

interface Task extends Shard {
  readonly step: number;
}

/** Other events wait no longer than this, or for one shard. */
const turnMs = 10;

export class InlineWorker implements Peer {
  readonly #options: InlineWorkerOptions;
  #port: InlinePort | undefined;
  #tasks: Task[] = [];
  #weightsStep = -1;
  /** Whether `#work` runs, or is about to. */
  #isAwake = false;
  #hasEnded = false;

  constructor(options: InlineWorkerOptions) {
    this.#options = options;
  }

  /** What it says of itself when it joins, as a worker that is elsewhere does. */
  hello(token: string | undefined): MessageOf<'hello'> {
    const { name, compute } = this.#options;
    const { backend, numericMode, threads } = compute;
    const identity = { kind: 'local', name, backend, numericMode, threads } as const;
    return { type: 'hello', protocol: protocolVersion, ...identity, ...(token === undefined ? {} : { token }) };
  }

  attach(port: InlinePort): void {
    this.#port = port;
  }

  send(message: RuleMessage): void {
    switch (message.type) {
      case 'cancel':
        this.#tasks = this.#tasks.filter(
          ({ step, lo, n }) => step !== message.step || lo !== message.lo || n !== message.n,
        );
        return;
      case 'ping':
        this.#options.schedule(() => this.#report({ type: 'pong', sentAtMs: message.sentAtMs }));
        return;
      case 'finish':
        this.#end();
        return;
      // After a refusal its connection is closed, with the same words.
      case 'refuse':
      case 'welcome':
      case 'pong':
      case 'injectFault':
        return;
      default:
        message satisfies never;
    }
  }

  sendNumericsCheck(): void {
    this.#options.schedule(() => {
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
    this.#options.schedule(() => this.#port?.fail(reason));
  }

  #wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#options.schedule(() => this.#work());
  }

  /** Computes one task after another, until there is none or other events are due. */
  #work(): void {
    const { nowMs, schedule } = this.#options;
    const untilMs = nowMs() + turnMs;
    try {
      for (let task = this.#next(); task; task = this.#next()) {
        const result = this.#options.compute.add(task.step, task);
        if (result instanceof Promise) {
          void this.#finishLater(task, result);
          return;
        }
        this.#finish(task, result);
        if (nowMs() < untilMs) continue;
        schedule(() => this.#work());
        return;
      }
      this.#isAwake = false;
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
      this.#options.schedule(() => this.#work());
    } catch (error) {
      this.#fail(error);
    }
  }

  #finish({ step, lo, n }: Task, result: InlineResult): void {
    const { computeMs } = result;
    if (result.isFinite) {
      this.#report({ type: 'gradient', step, lo, n, computeMs });
      return;
    }
    const message = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
    this.#report({ type: 'taskError', step, lo, n, code: 'non-finite', message });
  }

  #report(message: CheckedMessage): void {
    if (!this.#hasEnded) this.#port?.report(message);
  }

  #fail(error: unknown): void {
    if (this.#hasEnded) return;
    this.#end();
    this.#port?.fail(toMessageText(error instanceof Error ? error.message : String(error)));
  }

  #end(): void {
    this.#hasEnded = true;
    this.#tasks = [];
  }
}
