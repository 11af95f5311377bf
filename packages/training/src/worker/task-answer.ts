/** Answers a task: computes its shard, and makes the message that brings the gradient or the error. */
import { gradientChecksum, type MessageOf, toMessageText } from '@lockstep/protocol';
import { ComputeError, type ShardGradient } from './compute.ts';
import type { FaultInjector } from './fault-injection.ts';
import { GradientEncoder } from './gradient-encoder.ts';
import type { SessionOptions } from './session-options.ts';
import type { Task } from './task-queue.ts';

/** Answers the tasks of one run, one after another. */
export class TaskAnswerer {
  readonly #options: SessionOptions;
  readonly #faults: FaultInjector;
  readonly #seed: number;
  /** Whether the coordinator is in this process, and gets the message as it is: gradients are then neither encoded nor reused. */
  readonly #isLocal: boolean;
  readonly #encoder: GradientEncoder;
  /** Memory for every gradient of the run; the answer is copied into a frame before the next shard is computed. */
  #buffer: Float32Array | undefined;

  constructor(
    options: SessionOptions,
    faults: FaultInjector,
    { seed = 0, gradients }: Pick<MessageOf<'welcome'>, 'seed' | 'gradients'> = {},
  ) {
    this.#options = options;
    this.#faults = faults;
    this.#seed = seed;
    this.#isLocal = options.identity.kind === 'local';
    this.#encoder = new GradientEncoder(!this.#isLocal, gradients);
  }

  /**
   * @param weightsAtMs when the weights of its step arrived
   * @returns undefined where the task was canceled meanwhile
   */
  async answer(task: Task, weightsAtMs: number): Promise<MessageOf<'gradient' | 'taskError'> | undefined> {
    const faults = this.#faults;
    const { step, lo, n, samples, targets, firstSample } = task;
    let result: ShardGradient;
    try {
      const key = { seed: this.#seed, step, firstSample };
      const options = { key, into: this.#buffer, isCanceled: () => task.isCanceled };
      result = await faults.slowed(() => this.#options.compute.gradient(samples, targets, options));
    } catch (error) {
      await faults.thawed();
      if (task.isCanceled) return undefined;
      const code = error instanceof ComputeError ? error.code : 'failed';
      return { type: 'taskError', step, lo, n, code, message: errorText(error) };
    }
    await faults.thawed();
    if (task.isCanceled) return undefined;
    if (!Number.isFinite(result.lossSum)) {
      const message = `the loss of this shard is ${result.lossSum}`;
      return { type: 'taskError', step, lo, n, code: 'non-finite', message };
    }
    return this.#gradientMessage(task, result, weightsAtMs);
  }

  #gradientMessage(task: Task, result: ShardGradient, weightsAtMs: number): MessageOf<'gradient'> {
    const { clock } = this.#options;
    const { step, lo, n } = task;
    const { gradient, lossSum, correct, count, computeMs } = result;
    if (!this.#isLocal) this.#buffer ??= new Float32Array(gradient.length / 4 + 2);
    const encoded = this.#encoder.encode(gradient);
    const sum = { step, lo, n, ...encoded, lossSum, correct, count };
    const checksum = gradientChecksum(this.#options.checksum, sum);
    const turnaroundMs = clock.nowMs() - Math.max(task.receivedAtMs, weightsAtMs);
    return { type: 'gradient', ...sum, checksum, computeMs, turnaroundMs };
  }
}

/** What went wrong, as the text of a message. */
export function errorText(error: unknown): string {
  return toMessageText(error instanceof Error ? error.message : String(error));
}
