/** Answers a task: computes its shard, and makes the message that brings the gradient or the error. */
import { type Checksum, floatsOf, type MessageOf, toMessageText } from '@lockstep/protocol';
import { checksumBy } from '../codec-checksum.ts';
import { ComputeError, type GradientOptions, type ShardGradient } from './compute.ts';
import type { FaultInjector } from './fault-injection.ts';
import { GradientEncoder } from './gradient-encoder.ts';
import { gradientMessages } from './gradient-messages.ts';
import type { SessionOptions } from './session-options.ts';
import type { Task } from './task-queue.ts';

/** The message that answers a task, or begins the gradient that does. */
type Answer = MessageOf<'gradient' | 'taskError'>;

/** Answers the tasks of one run, one after another. */
export class TaskAnswerer {
  readonly #options: SessionOptions;
  readonly #faults: FaultInjector;
  readonly #seed: number;
  readonly #halfUnit: number | undefined;
  /** Whether the coordinator is in this process, and gets the message as it is: gradients are then neither encoded nor overwritten. */
  readonly #isLocal: boolean;
  readonly #encoder: GradientEncoder;
  readonly #checksum: Checksum;
  readonly #chunkBytes: number;

  constructor(
    options: SessionOptions,
    faults: FaultInjector,
    welcome: Pick<MessageOf<'welcome'>, 'seed' | 'halfUnit' | 'chunkBytes'>,
  ) {
    const { seed = 0, halfUnit, chunkBytes } = welcome;
    this.#options = options;
    this.#faults = faults;
    this.#seed = seed;
    this.#isLocal = options.identity.kind === 'local';
    this.#chunkBytes = chunkBytes;
    this.#halfUnit = halfUnit;
    this.#encoder = new GradientEncoder(!this.#isLocal, halfUnit, options.compute.codec);
    this.#checksum = checksumBy(options.compute.codec);
  }

  /**
   * @param weightsAtMs when the weights of its step arrived
   * @returns the messages of the answer, each made when it is asked for; none where the task was canceled meanwhile
   */
  async answer(task: Task, weightsAtMs: number): Promise<Iterable<Answer | MessageOf<'chunk'>>> {
    const faults = this.#faults;
    const { step, lo, n, firstSample } = task;
    let result: ShardGradient;
    try {
      const key = { seed: this.#seed, step, firstSample };
      const options: GradientOptions = {
        key,
        halfUnit: this.#halfUnit,
        shard: { step, lo, n, numbers: task.numbers },
        // The answer is copied into frames before the next shard is computed.
        inPlace: !this.#isLocal,
        isCanceled: () => task.isCanceled,
        onCancel: (listener) => {
          task.onCancel = listener;
        },
      };
      result = await faults.slowed(() => this.#options.compute.gradient(task.samples, task.targets, options));
    } catch (error) {
      await faults.thawed();
      if (task.isCanceled) return [];
      const code = error instanceof ComputeError ? error.code : 'failed';
      return [{ type: 'taskError', step, lo, n, code, message: errorText(error) }];
    }
    await faults.thawed();
    if (task.isCanceled) return [];
    if (!Number.isFinite(result.lossSum)) {
      const message = `the loss of this shard is ${result.lossSum}`;
      return [{ type: 'taskError', step, lo, n, code: 'non-finite', message }];
    }
    return this.#gradientMessages(task, result, weightsAtMs);
  }

  #gradientMessages(task: Task, result: ShardGradient, weightsAtMs: number): Iterable<MessageOf<'gradient' | 'chunk'>> {
    const { clock } = this.#options;
    const { step, lo, n } = task;
    const { lossSum, correct, count, computeMs } = result;
    return gradientMessages({
      sum: { step, lo, n, lossSum, correct, count },
      parameterCount: result.gradient.length / 4,
      chunkBytes: this.#chunkBytes,
      checksum: this.#checksum,
      encode: (from, to) => this.#encoder.encode(floatsOf(result.gradient), from, to),
      times: () => ({ computeMs, turnaroundMs: clock.nowMs() - Math.max(task.receivedAtMs, weightsAtMs) }),
    });
  }
}

/** What went wrong, as the text of a message. */
export function errorText(error: unknown): string {
  return toMessageText(error instanceof Error ? error.message : String(error));
}
