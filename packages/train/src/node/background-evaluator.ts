/** Evaluates in a separate thread, so that no step waits for an evaluation. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { Evaluation, Evaluator } from '@lockstep/nn';
import type { EvaluationSetup } from '../platform.ts';

export type EvaluationAnswer =
  /** Some of the samples have been evaluated. */
  | { readonly type: 'slice' }
  | { readonly type: 'evaluated'; readonly evaluation: Evaluation }
  | { readonly type: 'failed'; readonly message: string };

type FinalAnswer = Exclude<EvaluationAnswer, { type: 'slice' }>;

/** Even if this module runs from source, the thread runs the build. */
const program = createRequire(import.meta.url).resolve('@lockstep/train/evaluation-thread');

/** Starts its thread for the first evaluation; evaluations are requested one after another. */
export class BackgroundEvaluator implements Evaluator {
  readonly #setup: EvaluationSetup;
  readonly #createInline: (reason: string) => Evaluator;
  #thread: Worker | undefined;
  /** Handles the answers to the current evaluation. */
  #onAnswer: (answer: EvaluationAnswer) => void = () => {};
  /** The evaluator in this thread, after the other thread has failed. */
  #inline: Evaluator | undefined;

  /** @param createInline creates an evaluator in this thread, in case the other one cannot start or dies */
  constructor(setup: EvaluationSetup, createInline: (reason: string) => Evaluator) {
    this.#setup = setup;
    this.#createInline = createInline;
  }

  /** Rejects if `pause` does, and ends the thread in that case. */
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
    this.#thread ??= this.#start();
    const thread = this.#thread;
    thread.ref();
    try {
      return await new Promise<FinalAnswer>((resolve, reject) => {
        this.#onAnswer = (answer) => {
          if (answer.type === 'slice') pause().catch(reject);
          else resolve(answer);
        };
        thread.postMessage(weights);
      });
    } catch (error) {
      this.dispose();
      throw error;
    } finally {
      this.#onAnswer = () => {};
      // Lets the process end if it has nothing else to do.
      thread.unref();
    }
  }

  #start(): Worker {
    // Options for modules or debuggers are meant for this thread; V8's flags apply to the process anyway.
    const thread = new Worker(program, { workerData: this.#setup, execArgv: [] });
    const answered = (answer: EvaluationAnswer): void => {
      if (thread === this.#thread) this.#onAnswer(answer);
    };
    thread.on('message', answered);
    thread.on('error', ({ message }) => answered({ type: 'failed', message }));
    thread.on('exit', (code) => {
      answered({ type: 'failed', message: `its thread ended with exit code ${code}` });
      // The next evaluation starts a new thread.
      if (thread === this.#thread) this.#thread = undefined;
    });
    return thread;
  }
}
