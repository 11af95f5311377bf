/** Opens a worker's compute: in the socket's thread, or in its own thread if it would block the socket. */

import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import {
  type Compute,
  type ComputeSetup,
  createLocalCompute,
  type GradientOptions,
  type ShardGradient,
} from '@lockstep/compute';
import type { SampleValues, TargetValues } from '@lockstep/data';
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { prepareProcess } from '@lockstep/tfjs-node';
import type { ComputeChoice } from './options.ts';
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

/** Calls, executed one after another; each but `weights` is answered. */
export type BackgroundCall =
  | { readonly type: 'open'; readonly setup: ComputeSetup }
  | { readonly type: 'weights'; readonly bytes: Uint8Array }
  | {
      readonly type: 'gradient';
      readonly samples: SampleValues;
      readonly targets: TargetValues;
      readonly options: GradientOptions;
    };

/** The thread's first answer: the compute that it has opened. */
export interface Started extends Pick<Compute, 'backend' | 'numericMode'> {
  /** One sentence for each backend that was tried first and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

/** Answers the start, or a call. A failure may be that of earlier weights. */
export type BackgroundAnswer = { readonly result: unknown } | { readonly failure: string };

/** Even if this file runs from source, the thread runs the built program. */
const program = createRequire(import.meta.url).resolve('@lockstep/worker/background-thread');

/** @throws Error with one sentence if nothing of the choice can be opened */
export async function startBackgroundCompute(choice: ComputeChoice): Promise<Started & { readonly compute: Compute }> {
  if (choice === 'tfjs-node') prepareProcess();
  // Options for modules or debuggers are meant for the socket's thread; V8's flags apply to the whole process anyway.
  const worker = new Worker(program, { workerData: choice, execArgv: [] });
  const answerOf = createAnswers(worker);
  try {
    const started = (await answerOf()) as Started;
    return { ...started, compute: backgroundCompute(worker, answerOf, started) };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

/** Returns a function that waits for the thread's next answer. It rejects if that is a failure, or the thread ends. */
function createAnswers(worker: Worker): () => Promise<unknown> {
  const waiting: { resolve(result: unknown): void; reject(error: Error): void }[] = [];
  let ended: Error | undefined;
  const end = (error: Error): void => {
    ended ??= error;
    for (const { reject } of waiting.splice(0)) reject(ended);
  };
  worker.on('message', (answer: BackgroundAnswer) => {
    const first = waiting.shift();
    if ('failure' in answer) first?.reject(new Error(answer.failure));
    else first?.resolve(answer.result);
  });
  worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', () => end(new Error('the compute thread ended')));
  return () =>
    new Promise((resolve, reject) => {
      if (ended) reject(ended);
      else waiting.push({ resolve, reject });
    });
}

/** A compute in its own thread, so that the socket's thread always answers. */
function backgroundCompute(worker: Worker, answer: () => Promise<unknown>, { backend, numericMode }: Started): Compute {
  const post = (call: BackgroundCall): void => worker.postMessage(call);
  const ask = (call: BackgroundCall): Promise<unknown> => {
    post(call);
    return answer();
  };
  return {
    ...{ backend, numericMode, threads: 1 },
    async open(setup) {
      await ask({ type: 'open', setup });
    },
    setWeights: (bytes) => post({ type: 'weights', bytes }),
    async gradient(samples, targets, { key, halfUnit } = {}) {
      if (halfUnit !== undefined) throw new Error(`${backend}: expected a run that rounds no sums: compute on the CPU`);
      if (samples instanceof Uint32Array) throw new Error('shard: expected samples, got numbers of cached ones');
      const options = key === undefined ? {} : { key };
      return (await ask({ type: 'gradient', samples, targets, options })) as ShardGradient;
    },
    async close() {
      await worker.terminate();
    },
  };
}
