/** Answers numerics checks and tasks on behalf of a worker. */

import {
  type Compute,
  ComputeError,
  type ComputeSetup,
  checkedSetup,
  checksumBy,
  type GradientOptions,
  type ShardGradient,
} from '@lockstep/compute';
import type { SampleBatch } from '@lockstep/data';
import type { Clock } from '@lockstep/protocol';
import {
  bytesOf,
  type Checksum,
  encodeHalves,
  encodeSparse,
  floatsOf,
  gradientMessages,
  type MessageOf,
  toMessageText,
  vectorMessages,
  type WorkerKind,
} from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';
import type { FaultInjector } from './fault-injection.ts';
import type { LabeledShard } from './sample-cache.ts';

/** The session options that answering needs. */
export interface AnswerOptions {
  readonly compute: Compute;
  readonly identity: { readonly kind: WorkerKind };
  readonly clock: Clock;
  /** Hash of the numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
}

/** The message that answers a task, or that begins the gradient. */
type Answer = MessageOf<'gradient' | 'taskError'>;

/** Answers the tasks of one run, one after another. */
export class TaskAnswerer {
  readonly #options: AnswerOptions;
  readonly #faults: FaultInjector;
  readonly #seed: number;
  readonly #halfUnit: number | undefined;
  /** Whether the coordinator is in this process: gradients are then neither encoded nor overwritten. */
  readonly #isLocal: boolean;
  readonly #encoder: GradientEncoder;
  readonly #checksum: Checksum;
  readonly #chunkBytes: number;

  constructor(
    options: AnswerOptions,
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
   * @returns the messages of the answer, each created on demand; none if the task was canceled meanwhile
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

/** Returns an error's text, as it is sent in a message. */
export function errorText(error: unknown): string {
  return toMessageText(error instanceof Error ? error.message : String(error));
}

export interface Task extends Pick<MessageOf<'task'>, 'step' | 'lo' | 'n'>, LabeledShard {
  /** Position of its first sample in the epoch's order. */
  readonly firstSample: number;
  readonly receivedAtMs: number;
  /** Set during the computation when the answer is no longer needed. */
  isCanceled: boolean;
  /** Called when `isCanceled` is set. */
  onCancel?: () => void;
}

/** A worker's tasks in order of arrival: tasks of the current step, and tasks sent ahead of it. */
export class TaskQueue {
  #waiting: Task[] = [];
  #running: Task | undefined;

  add(task: Task): void {
    this.#waiting.push(task);
  }

  /** Takes the oldest task of a step out of the queue and marks it as running. */
  start(step: number): Task | undefined {
    const index = this.#waiting.findIndex((task) => task.step === step);
    this.#running = index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
    return this.#running;
  }

  /** Cancels the task of a shard, waiting or running. */
  cancel({ step, lo, n }: Pick<Task, 'step' | 'lo' | 'n'>): void {
    const isSame = (task: Task): boolean => task.step === step && task.lo === lo && task.n === n;
    this.#waiting = this.#waiting.filter((task) => !isSame(task));
    if (this.#running && isSame(this.#running)) cancelTask(this.#running);
  }

  cancelAll(): void {
    this.#waiting = [];
    if (this.#running) cancelTask(this.#running);
  }

  /** Drops waiting tasks of earlier steps. */
  dropBefore(step: number): void {
    this.#waiting = this.#waiting.filter((task) => task.step >= step);
  }
}

function cancelTask(task: Task): void {
  task.isCanceled = true;
  task.onCancel?.();
}

type Encoded = Pick<MessageOf<'gradient'>, 'bytes' | 'encoding'>;

/** Encodes gradients: without zero blocks if that saves bytes, and as halves if the run rounds to halves. */
export class GradientEncoder {
  readonly #sparse: boolean;
  readonly #halfUnit: number | undefined;
  readonly #codec: CodecKernels | undefined;

  /**
   * @param sparse false if the gradient stays in this process, so that encoding would only cost time
   * @param halfUnit value that 1 in half precision stands for, if every value is a half in that unit
   */
  constructor(sparse: boolean, halfUnit?: number, codec?: CodecKernels) {
    this.#sparse = sparse;
    this.#halfUnit = halfUnit;
    this.#codec = codec;
  }

  /** Encodes the values `[from, to)` of a gradient, by default all; the result may overwrite their memory. */
  encode(gradient: Float32Array, from = 0, to = gradient.length): Encoded {
    const values = gradient.subarray(from, to);
    if (!this.#sparse) return { bytes: bytesOf(values) };
    const halves = this.#halfUnit === undefined ? undefined : encodeHalves(values, this.#halfUnit);
    if (halves) return { bytes: halves, encoding: 'fp16' };
    // Values that no half can represent are sent unchanged, so that the coordinator sees them.
    const bytes = encodeSparse(values, this.#codec?.nonZeroBlocks(values));
    return bytes ? { bytes, encoding: 'sparse' } : { bytes: bytesOf(values) };
  }
}

type Check = Pick<SampleBatch, 'samples' | 'targets'> & { readonly weights: Uint8Array };

/** Answers the numerics checks of one run: one when the worker joins, and another after each task that failed. */
export class NumericsAnswerer {
  readonly #options: Pick<AnswerOptions, 'compute' | 'hash'>;
  readonly #setup: ComputeSetup;
  readonly #chunkBytes: number;
  #isOpenForCheck = false;

  constructor(options: Pick<AnswerOptions, 'compute' | 'hash'>, setup: ComputeSetup, chunkBytes: number) {
    this.#options = options;
    this.#setup = setup;
    this.#chunkBytes = chunkBytes;
  }

  /** Opens the compute for a check, unless it already is. */
  async open(): Promise<void> {
    if (this.#isOpenForCheck) return;
    await this.#options.compute.open(checkedSetup(this.#setup));
    this.#isOpenForCheck = true;
  }

  /** Computes a check. @returns the messages of the answer; the compute is then open for the tasks of the run */
  async answer(
    { weights, samples, targets }: Check,
    isCanceled: () => boolean,
  ): Promise<Iterable<MessageOf<'numericsResult' | 'chunk'>>> {
    const { compute, hash } = this.#options;
    await this.open();
    compute.setWeights(weights);
    // The first run compiles kernels; the second is timed.
    await compute.gradient(samples, targets, { isCanceled });
    const { gradient, lossSum, correct, computeMs } = await compute.gradient(samples, targets, { isCanceled });
    await this.#openForRun();
    const result = { type: 'numericsResult', hash: hash(gradient), lossSum, correct, computeMs } as const;
    return vectorMessages(gradient, this.#chunkBytes, (first, fields) => ({ ...result, ...fields, gradient: first }));
  }

  /** Reopens the compute with the run's inner steps, which the check is computed without. */
  async #openForRun(): Promise<void> {
    if (!this.#setup.innerSteps) return;
    await this.#options.compute.open(this.#setup);
    this.#isOpenForCheck = false;
  }
}
