/** A compute in a thread of its own, so that the socket's thread always answers. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { TargetValues } from '@lockstep/nn';
import { prepareProcess } from '@lockstep/tfjs-node';
import type { Compute, ComputeSetup, GradientOptions, ShardGradient, ShardSamples } from '@lockstep/training';
import type { BackgroundAnswer, BackgroundCall, BackgroundSetup, Started } from './background-protocol.ts';
import type { ComputeChoice } from './compute-choice.ts';

/** Also where this is a source: the thread runs what the build made. */
const program = createRequire(import.meta.url).resolve('@lockstep/worker/background-thread');

/** @throws Error with one sentence where nothing of the choice can be opened */
export async function startBackgroundCompute(choice: ComputeChoice): Promise<Started & { readonly compute: Compute }> {
  if (choice === 'tfjs-node') prepareProcess();
  const thread = new ComputeThread({ choice });
  try {
    const started = await thread.started;
    return { ...started, compute: new BackgroundCompute(thread, started) };
  } catch (error) {
    await thread.close();
    throw error;
  }
}

class BackgroundCompute implements Compute {
  readonly backend: string;
  readonly numericMode: string;
  readonly threads = 1;
  readonly #thread: ComputeThread;

  constructor(thread: ComputeThread, { backend, numericMode }: Started) {
    this.#thread = thread;
    this.backend = backend;
    this.numericMode = numericMode;
  }

  async open(setup: ComputeSetup): Promise<void> {
    await this.#thread.ask({ type: 'open', setup });
  }

  setWeights(bytes: Uint8Array): void {
    this.#thread.tell({ type: 'weights', bytes });
  }

  async gradient(
    samples: ShardSamples,
    targets: TargetValues,
    { key, halfUnit }: GradientOptions = {},
  ): Promise<ShardGradient> {
    if (halfUnit !== undefined)
      throw new Error(`${this.backend}: expected a run that rounds no sums: compute on the CPU`);
    if (samples instanceof Uint32Array) throw new Error('shard: expected samples, got numbers of cached ones');
    const answer = await this.#thread.ask({ type: 'gradient', samples, targets, key });
    if (answer.type !== 'computed') throw new Error(`compute thread: expected a gradient, got ${answer.type}`);
    return answer.result;
  }

  async close(): Promise<void> {
    await this.#thread.close();
  }
}

/** The thread, and what waits for its answers, in their order. */
class ComputeThread {
  readonly started: Promise<Started>;
  readonly #worker: Worker;
  readonly #waiting: { resolve(answer: BackgroundAnswer): void; reject(error: Error): void }[] = [];
  #ended: Error | undefined;

  constructor(setup: BackgroundSetup) {
    // Options for modules or debuggers are meant for the socket's thread; V8's flags hold for the process anyway.
    const options = { workerData: setup, execArgv: [] };
    this.#worker = new Worker(program, options);
    this.#worker.on('message', (answer: BackgroundAnswer) => {
      const first = this.#waiting.shift();
      if (answer.type === 'failed') first?.reject(new Error(answer.message));
      else first?.resolve(answer);
    });
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => this.#end(new Error('the compute thread ended')));
    this.started = this.#answer() as Promise<Started>;
  }

  tell(call: BackgroundCall): void {
    this.#worker.postMessage(call);
  }

  /** @throws Error of the call, or of the thread that has ended */
  ask(call: BackgroundCall): Promise<BackgroundAnswer> {
    this.tell(call);
    return this.#answer();
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #answer(): Promise<BackgroundAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#ended) reject(this.#ended);
      else this.#waiting.push({ resolve, reject });
    });
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}
