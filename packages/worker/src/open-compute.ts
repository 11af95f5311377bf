/** Opens a worker's compute: in the socket's thread, or in its own thread if it would block the socket. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import {
  type Compute,
  type ComputeSetup,
  createLocalCompute,
  type GradientOptions,
  type ShardGradient,
  type ShardSamples,
} from '@lockstep/compute';
import type { RandomKey, SampleValues, TargetValues } from '@lockstep/nn';
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { prepareProcess } from '@lockstep/tfjs-node';
import type { ComputeChoice } from './compute-choice.ts';
import { systemClock } from './system-clock.ts';

/**
 * Opens the compute of a choice. A host backend computes in this thread and its helper threads: a shard needs no trip
 * to another thread, and long shards pause for the socket. GPUs and TensorFlow compute a whole shard without a pause.
 * @throws Error with one sentence if nothing of the choice can be opened
 */
export async function openCompute(choice: ComputeChoice, threads: number) {
  const host = choice === 'auto' ? choice : hostBackendNames.find((name) => name === choice);
  if (host === undefined) return startBackgroundCompute(choice);
  const opened = await openBackend(host, nodeThreads(threads));
  return { ...opened, compute: createLocalCompute(opened.backend, systemClock) };
}

/** Start-up data of the compute thread. */
export interface BackgroundSetup {
  readonly choice: ComputeChoice;
}

/** Calls, executed one after another; each but `weights` is answered. */
export type BackgroundCall =
  | { readonly type: 'open'; readonly setup: ComputeSetup }
  | { readonly type: 'weights'; readonly bytes: Uint8Array }
  | {
      readonly type: 'gradient';
      readonly samples: SampleValues;
      readonly targets: TargetValues;
      readonly key: RandomKey | undefined;
    };

/** Result of opening the backend. */
export interface Started {
  readonly type: 'started';
  readonly backend: string;
  readonly numericMode: string;
  /** One sentence for each backend that was tried first and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

export type BackgroundAnswer =
  | Started
  | { readonly type: 'opened' }
  | { readonly type: 'computed'; readonly result: ShardGradient }
  /** The answered call failed, or earlier `weights` did, or the start. */
  | { readonly type: 'failed'; readonly message: string };

/** Even if this file runs from source, the thread runs the built program. */
const program = createRequire(import.meta.url).resolve('@lockstep/worker/background-thread');

/** @throws Error with one sentence if nothing of the choice can be opened */
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

/** A compute in its own thread, so that the socket's thread always answers. */
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

/** The compute thread, with the calls that wait for its answers, in order. */
class ComputeThread {
  readonly started: Promise<Started>;
  readonly #worker: Worker;
  readonly #waiting: { resolve(answer: BackgroundAnswer): void; reject(error: Error): void }[] = [];
  #ended: Error | undefined;

  constructor(setup: BackgroundSetup) {
    // Options for modules or debuggers are meant for the socket's thread; V8's flags apply to the whole process anyway.
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

  /** @throws Error of the call, or of the thread if it has ended */
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
