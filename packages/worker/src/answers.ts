/** How a worker answers tasks: from cached samples, in order, and with faults on purpose where a run asks for them. */
import {
  type ByteCache,
  type Compute,
  ComputeError,
  type ComputeSetup,
  checkedSetup,
  checksumBy,
  type GradientOptions,
  type ShardGradient,
  type ShardSamples,
} from '@lockstep/compute';
import { gatherRows, numbersLike, type SampleBatch } from '@lockstep/data';
import {
  bytesOf,
  type Clock,
  type CoordinatorMessage,
  enclosed,
  encodeHalves,
  encodeSparse,
  errorText,
  floatsOf,
  gradientMessages,
  type MessageOf,
  vectorMessages,
  type WorkerKind,
  type WorkerTransport,
  wordsFrom,
} from '@lockstep/protocol';
import type { CodecKernels } from '@lockstep/tensor';

/** The session options that answering needs. */
export interface AnswerOptions {
  readonly compute: Compute;
  readonly identity: { readonly kind: WorkerKind };
  readonly transport: Pick<WorkerTransport, 'copiesStreams'>;
  readonly clock: Clock;
  /** Hash of the numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
}

/** The message that answers a task, or that begins the gradient. */
type Answer = MessageOf<'gradient' | 'taskError'>;

/** Answers the tasks of one run, one after another. */
export type TaskAnswerer = ReturnType<typeof createTaskAnswerer>;

export function createTaskAnswerer(
  { compute, identity, transport, clock }: AnswerOptions,
  faults: FaultInjector,
  { seed = 0, halfUnit, chunkBytes }: Pick<MessageOf<'welcome'>, 'seed' | 'halfUnit' | 'chunkBytes'>,
) {
  /** Whether the coordinator is in this process: gradients are then neither encoded nor overwritten. */
  const isLocal = identity.kind === 'local';
  // Copying zeros to memory that both processes read takes less time than leaving them out.
  const encodes = !isLocal && (transport.copiesStreams !== true || halfUnit !== undefined);
  const encoder = new GradientEncoder(encodes, halfUnit, compute.codec);
  const checksum = checksumBy(compute.codec);

  /**
   * @param weightsAtMs when the weights of its step arrived
   * @returns the messages of the answer, each created on demand; none if the task was canceled meanwhile
   */
  return async (task: Task, weightsAtMs: number): Promise<Iterable<Answer | MessageOf<'chunk'>>> => {
    const { step, lo, n, firstSample } = task;
    let result: ShardGradient;
    try {
      const options: GradientOptions = {
        key: { seed, step, firstSample },
        halfUnit,
        shard: { step, lo, n, numbers: task.numbers },
        // The answer is copied into frames before the next shard is computed.
        inPlace: !isLocal,
        isCanceled: () => task.isCanceled,
        onCancel: (listener) => {
          task.onCancel = listener;
        },
      };
      result = await faults.slowed(() => compute.gradient(task.samples, task.targets, options));
    } catch (error) {
      await faults.thawed();
      if (task.isCanceled) return [];
      const code = error instanceof ComputeError ? error.code : 'failed';
      return [{ type: 'taskError', step, lo, n, code, message: errorText(error) }];
    }
    await faults.thawed();
    if (task.isCanceled) return [];
    const { gradient, lossSum, correct, count, computeMs } = result;
    if (!Number.isFinite(lossSum)) {
      const message = `the loss of this shard is ${lossSum}`;
      return [{ type: 'taskError', step, lo, n, code: 'non-finite', message }];
    }
    return gradientMessages({
      sum: { step, lo, n, lossSum, correct, count },
      parameterCount: gradient.length / 4,
      chunkBytes,
      checksum,
      encode: (from, to) => encoder.encode(floatsOf(gradient), from, to),
      times: () => ({ computeMs, turnaroundMs: clock.nowMs() - Math.max(task.receivedAtMs, weightsAtMs) }),
    });
  };
}

interface Task extends Pick<MessageOf<'task'>, 'step' | 'lo' | 'n'>, LabeledShard {
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
export type NumericsAnswerer = ReturnType<typeof createNumericsAnswerer>;

export function createNumericsAnswerer(
  { compute, hash }: Pick<AnswerOptions, 'compute' | 'hash'>,
  setup: ComputeSetup,
  chunkBytes: number,
) {
  let isOpenForCheck = false;

  /** Opens the compute for a check, unless it already is. */
  async function open(): Promise<void> {
    if (isOpenForCheck) return;
    await compute.open(checkedSetup(setup));
    isOpenForCheck = true;
  }

  return {
    open,
    /** Computes a check. @returns the messages of the answer; the compute is then open for the tasks of the run */
    async answer(
      { weights, samples, targets }: Check,
      isCanceled: () => boolean,
    ): Promise<Iterable<MessageOf<'numericsResult' | 'chunk'>>> {
      await open();
      compute.setWeights(weights);
      // The first run compiles kernels; the second is timed.
      await compute.gradient(samples, targets, { isCanceled });
      const { gradient, lossSum, correct, computeMs } = await compute.gradient(samples, targets, { isCanceled });
      if (setup.innerSteps) {
        // The check is computed without the run's inner steps.
        await compute.open(setup);
        isOpenForCheck = false;
      }
      const result = { type: 'numericsResult', hash: hash(gradient), lossSum, correct, computeMs } as const;
      return vectorMessages(gradient, chunkBytes, (first, fields) => ({ ...result, ...fields, gradient: first }));
    },
  };
}

/** Slowdown of a slow worker's computation. */
const slowFactor = 8;
/** Compute time assumed for a shard too fast to measure, so that a slow worker is slow on it too. */
const leastComputeMs = 1;

export class FaultInjector {
  readonly #clock: Clock;
  readonly #deliver: (message: CoordinatorMessage) => void;
  #frozenUntilMs = Number.NEGATIVE_INFINITY;
  #slowUntilMs = Number.NEGATIVE_INFINITY;
  #deferred: CoordinatorMessage[] = [];

  /** @param deliver receives the messages that arrived during a freeze, in order, when the freeze is over */
  constructor(clock: Clock, deliver: (message: CoordinatorMessage) => void) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  get isFrozen(): boolean {
    return this.#clock.nowMs() < this.#frozenUntilMs;
  }

  inject(action: 'freeze' | 'slow', forMs: number): void {
    const untilMs = this.#clock.nowMs() + forMs;
    if (action === 'slow') {
      this.#slowUntilMs = untilMs;
      return;
    }
    const wasFrozen = this.isFrozen;
    this.#frozenUntilMs = untilMs;
    if (!wasFrozen) void this.#deliverDeferred();
  }

  /** Whether messages are deferred: the worker is frozen, or earlier messages are undelivered. */
  get isDeferring(): boolean {
    return this.isFrozen || this.#deferred.length > 0;
  }

  /** Returns whether it has deferred the message. */
  defers(message: CoordinatorMessage): boolean {
    if (!this.isDeferring) return false;
    this.#deferred.push(message);
    return true;
  }

  async thawed(): Promise<void> {
    while (this.isFrozen) await this.#wait(this.#frozenUntilMs - this.#clock.nowMs());
  }

  /** Computes; a slow worker takes a multiple of the time. */
  async slowed(compute: () => Promise<ShardGradient>): Promise<ShardGradient> {
    const result = await compute();
    if (this.#clock.nowMs() >= this.#slowUntilMs) return result;
    const computeMs = slowFactor * Math.max(leastComputeMs, result.computeMs);
    await this.#wait(computeMs - result.computeMs);
    return { ...result, computeMs };
  }

  async #deliverDeferred(): Promise<void> {
    await this.thawed();
    for (const message of this.#deferred.splice(0)) this.#deliver(message);
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(delayMs, resolve));
  }
}

/** The samples of a shard, in its order. */
export interface LabeledShard {
  readonly samples: ShardSamples;
  readonly targets: SampleBatch['targets'];
  readonly count: number;
  /** Numbers in the training set, if the coordinator sends them. */
  readonly numbers?: Uint32Array;
}

interface SampleCacheOptions {
  /** Samples in the training set. Memory for all is allocated with the first batch, and touched as they arrive. */
  readonly count: number;
  /** Most bytes of samples and targets. */
  readonly maxBytes: number;
  /** Allocates byte samples in the compute's memory; omitted if the compute does not support it. */
  readonly createByteCache?: ((count: number, size: number) => ByteCache) | undefined;
}

/** The samples enclosed in a task and, if the task names samples, the numbers (u32) of all samples of its shard. */
export interface ArrivedBatch extends SampleBatch {
  readonly numbers: Uint8Array | undefined;
}

interface Memory {
  /** Values in a sample; `targetSize` is the number of values in its target. */
  readonly size: number;
  readonly targetSize: number;
  readonly targets: SampleBatch['targets'];
  /** 1 for each sample that has arrived. */
  readonly isPresent: Uint8Array;
  readonly write: (number: number, sample: SampleBatch['samples']) => void;
  readonly samplesOf: (numbers: Uint32Array) => ShardSamples;
}

/** Cache of samples by number. It holds the targets; the compute holds the samples if it has a byte cache. */
export class SampleCache {
  readonly #options: SampleCacheOptions;
  #memory: Memory | undefined;

  constructor(options: SampleCacheOptions) {
    this.#options = options;
  }

  /**
   * Caches the batch of a task and returns the samples of its shard. Call it for every task, in order of arrival.
   * @throws Error if a task names a sample that has not arrived, or encloses more than fit
   */
  samplesOf({ numbers: bytes, ...batch }: ArrivedBatch): LabeledShard {
    if (bytes === undefined) return batch;
    const { count } = this.#options;
    const numbers = wordsFrom(bytes);
    if (numbers.length > count) throw new Error(`task: expected at most ${count} samples, got ${numbers.length}`);
    if (batch.count > 0) this.#insert(numbers, batch);
    if (batch.count < numbers.length) return this.#lookUp(numbers);
    return { ...batch, numbers: numbers.map((number) => number % enclosed) };
  }

  #insert(numbers: Uint32Array, batch: SampleBatch): void {
    const { count } = this.#options;
    this.#memory ??= this.#allocate(batch);
    const { size, targetSize, targets, isPresent, write } = this.#memory;
    const targetsGot = batch.targets.length / batch.count;
    if (targetsGot !== targetSize)
      throw new Error(`task: expected ${targetSize} targets per sample, got ${targetsGot}`);
    let next = 0;
    for (const marked of numbers) {
      if (marked < enclosed) continue;
      const number = marked - enclosed;
      if (number >= count) throw new Error(`task: expected samples below ${count}, got ${number}`);
      write(number, batch.samples.subarray(next * size, (next + 1) * size));
      if (targetSize === 1) targets[number] = batch.targets[next]!;
      else targets.set(batch.targets.subarray(next * targetSize, (next + 1) * targetSize), number * targetSize);
      isPresent[number] = 1;
      next += 1;
    }
  }

  /** Looks up cached samples. Clears the mark of enclosed samples in `numbers`, which the result may refer to. */
  #lookUp(numbers: Uint32Array): LabeledShard {
    const memory = this.#memory;
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]! % enclosed;
      if (memory?.isPresent[number] !== 1) {
        throw new Error(`task: expected samples that have arrived, got sample ${number}`);
      }
      numbers[at] = number;
    }
    const { targets, targetSize, samplesOf } = memory!;
    const { length: count } = numbers;
    return { samples: samplesOf(numbers), targets: gatherRows(targets, targetSize, numbers), numbers, count };
  }

  #allocate(batch: SampleBatch): Memory {
    const { count, maxBytes } = this.#options;
    const [size, targetSize] = [batch.samples.length / batch.count, batch.targets.length / batch.count];
    const sampleBytes = (batch.samples.byteLength + batch.targets.byteLength) / batch.count;
    if (count * sampleBytes > maxBytes) {
      const expected = `${count} samples that fit into ${maxBytes} bytes`;
      throw new Error(`task: expected ${expected}, got some of ${sampleBytes} bytes`);
    }
    const length = count * targetSize;
    const targets = numbersLike(batch.targets, length);
    return { size, targetSize, targets, isPresent: new Uint8Array(count), ...this.#sampleMemory(batch, size) };
  }

  #sampleMemory({ samples }: SampleBatch, size: number): Pick<Memory, 'write' | 'samplesOf'> {
    const { count, createByteCache } = this.#options;
    if (samples instanceof Uint8Array && createByteCache) {
      const bytes = createByteCache(count, size);
      return { write: (number, sample) => bytes.write(number, sample as Uint8Array), samplesOf: (numbers) => numbers };
    }
    const values = numbersLike(samples, count * size);
    return {
      write: (number, sample) => values.set(sample, number * size),
      samplesOf: (numbers) => gatherRows(values, size, numbers),
    };
  }
}
