/** Evaluates in a thread of its own, so that no step waits for an evaluation. */
import { Worker } from 'node:worker_threads';
import type { Evaluation, Evaluator, LabeledSamples, Model } from '@lockstep/nn';

/** What the thread is started with. */
export interface EvaluationSetup {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
  readonly model: Model;
  readonly data: LabeledSamples;
}

export type EvaluationAnswer =
  /** Some of the samples are done. */
  | { readonly type: 'slice' }
  | { readonly type: 'evaluated'; readonly evaluation: Evaluation }
  | { readonly type: 'failed'; readonly message: string };

type FinalAnswer = Exclude<EvaluationAnswer, { type: 'slice' }>;

/** Also where this is a source: the thread runs what the build made. */
const program = new URL('../../dist/run/evaluation-thread.js', import.meta.url);

/** Begins its thread with the first evaluation; evaluations are asked for one after another. */
export class BackgroundEvaluator implements Evaluator {
  readonly #setup: EvaluationSetup;
  readonly #createInline: (reason: string) => Evaluator;
  #thread: Worker | undefined;
  /** What evaluates here since the thread has failed. */
  #inline: Evaluator | undefined;

  /** @param createInline what evaluates in this thread where the other one cannot begin or dies */
  constructor(setup: EvaluationSetup, createInline: (reason: string) => Evaluator) {
    this.#setup = setup;
    this.#createInline = createInline;
  }

  /** Rejects as `pause` does, and ends the thread then. */
  async evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Evaluation> {
    if (!this.#inline) {
      const answer = await this.#ask(weights, pause);
      if (answer.type === 'evaluated') return answer.evaluation;
      this.dispose();
      this.#inline = this.#createInline(answer.message);
    }
    return this.#inline.evaluate(weights, pause);
  }

  dispose(): void {
    void this.#thread?.terminate();
    this.#thread = undefined;
    this.#inline?.dispose();
  }

  async #ask(weights: Float32Array, pause: () => Promise<void>): Promise<FinalAnswer> {
    // Options for modules or debuggers are meant for this thread; V8's flags hold for the process anyway.
    const thread = this.#thread ?? new Worker(program, { workerData: this.#setup, execArgv: [] });
    this.#thread = thread;
    thread.ref();
    try {
      return await answerOf(thread, weights, pause);
    } catch (error) {
      this.dispose();
      throw error;
    } finally {
      thread.removeAllListeners();
      // A process that has nothing else to do ends.
      thread.unref();
    }
  }
}

function answerOf(thread: Worker, weights: Float32Array, pause: () => Promise<void>): Promise<FinalAnswer> {
  return new Promise((resolve, reject) => {
    thread.on('message', (answer: EvaluationAnswer) => {
      if (answer.type === 'slice') pause().catch(reject);
      else resolve(answer);
    });
    thread.once('error', ({ message }) => resolve({ type: 'failed', message }));
    thread.once('exit', (code) => resolve({ type: 'failed', message: `its thread ended with exit code ${code}` }));
    thread.postMessage(weights);
  });
}
