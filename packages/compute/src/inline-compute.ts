/** Computes shards in the coordinator's process: as a worker, or to decide between results that differ. */
import {
  type Augmentation,
  createAugmenter,
  type Dataset,
  fieldOf,
  gatherSamples,
  gatherValues,
  moveSamples,
  permutation,
  type SampleBatch,
  sizeOfField,
  type TargetField,
} from '@lockstep/data';
import type { Model } from '@lockstep/nn';
import type { Clock } from '@lockstep/protocol';
import { firstSample, type RunPlan, type Shard, shardRange } from '@lockstep/rules';
import { type Backend, type ByteTable, createByteTable, type Storage, type VectorSum } from '@lockstep/tensor';
import type { SumMemory } from './aggregator.ts';
import type { Compute, ComputeSetup } from './compute.ts';
import { checkedSetup, type NumericsCheck, numericsFault, type ReferenceGradient } from './numerics-check.ts';
import type { ParameterServer, Parameters } from './parameter-server.ts';
import type { ShardBatch } from './pieces.ts';
import { SlicedGradient } from './sliced-gradient.ts';
import { VectorAdder } from './tree-sum.ts';
import { Pacer } from './turns.ts';
import { valueAt } from './vector-memory.ts';

/**
 * The sum over a shard, [parameters + 2]: memory reserved in the aggregator, or, from a run's only worker, vectors that
 * do not change until the next step.
 */
export type InlineSum = SumMemory | VectorSum;

/** Result of a shard. */
export interface InlineResult {
  /** Undefined if a number is not finite, or if the task was canceled. */
  readonly sum: InlineSum | undefined;
  readonly computeMs: number;
}

export interface InlineCompute {
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  readonly vectorBits?: number | undefined;
  /** Computes the gradient of the numerics check; `hash` is in hex. */
  checkNumerics(): Promise<{ readonly hash: string; readonly samplesPerMs: number }>;
  /**
   * Computes a shard with the parameter server's weights. A result that is ready at once needs no promise.
   * @param isCanceled called during pauses; if true, the computation stops and the sum is undefined
   * @throws Error with one sentence if it can no longer compute
   */
  compute(step: number, shard: Shard, isCanceled: () => boolean): InlineResult | Promise<InlineResult>;
}

interface InlineGradientOptions {
  readonly parameterServer: ParameterServer;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly dataset: Dataset;
  readonly samples: ShardSource;
  /** Keys the random choices of the model. */
  readonly seed: number;
  readonly clock: Clock;
  /**
   * Lets messages to and from remote workers go first, before each slice of a shard; given if remote workers may take
   * part. Sums are then copied to memory of their own, since another shard of the step may follow.
   */
  readonly yieldToOthers?: (() => Promise<void>) | undefined;
  /** Whether each sum is one vector, so that it can be recorded; by default the last addition is left to the step. */
  readonly addsWhole?: boolean | undefined;
  /** The coordinator's own result of the numerics check, on this backend. */
  readonly numerics: { readonly hash: string; readonly samplesPerMs: number };
}

/** Target time of a slice, for which events of remote workers have to wait. */
const besideOthersMs = 10;

/** Computes shards on the parameter server's own backend, from its weights. */
export class InlineGradient implements InlineCompute {
  readonly #options: InlineGradientOptions;
  readonly #sliced: SlicedGradient;
  readonly #pacer: Pacer;
  readonly #adder: VectorAdder;
  /** Returns the samples with these numbers in the form that `SlicedGradient` takes; undefined if they change. */
  readonly #rangesOf: ((numbers: Uint32Array) => ShardBatch['samplesOf']) | undefined;

  constructor(options: InlineGradientOptions) {
    const { parameterServer, model, plan, dataset, clock, samples } = options;
    const { backend, parameters } = parameterServer;
    this.#options = options;
    const { microbatchSize, innerSteps } = plan;
    const setup = { model, microbatchSize, innerSteps, targetField: fieldOf(dataset.targets) };
    this.#sliced = new SlicedGradient(backend, setup, parameters, { checksFinite: true });
    this.#pacer = new Pacer(clock, options.yieldToOthers && besideOthersMs);
    this.#adder = new VectorAdder(backend);
    this.#rangesOf = samples.isAugmented ? undefined : rangesOf(backend, dataset);
  }

  get backend(): string {
    return this.#options.parameterServer.backend.name;
  }

  get numericMode(): string {
    return this.#options.parameterServer.backend.numericMode;
  }

  get threads(): number {
    return this.#options.parameterServer.backend.threads ?? 1;
  }

  get vectorBits(): number | undefined {
    return this.#options.parameterServer.backend.vectorBits;
  }

  async checkNumerics() {
    return this.#options.numerics;
  }

  compute(step: number, shard: Shard, isCanceled: () => boolean): InlineResult | Promise<InlineResult> {
    const { yieldToOthers, clock } = this.#options;
    if (yieldToOthers) return this.#computeBesideOthers(step, shard, { yieldToOthers, isCanceled });
    const startedAtMs = clock.nowMs();
    return this.#computeRest(this.#begin(step, shard), startedAtMs, isCanceled);
  }

  /** @returns the number of samples in the shard */
  #begin(step: number, shard: Shard): number {
    const { samples, plan, seed } = this.#options;
    const numbers = samples.numbers(step, shard.lo, shard.n);
    const batch = {
      count: numbers.length,
      samplesOf: this.#rangesOf?.(numbers) ?? rowsOf(samples.shard(step, shard.lo, shard.n)),
      targets: samples.targets(step, shard.lo, shard.n),
      key: { seed, step, firstSample: firstSample(plan, step, shard.lo) },
      halfUnit: plan.halfUnit,
    };
    this.#sliced.begin(batch, this.#pacer.sliceSamples);
    this.#pacer.begin();
    return numbers.length;
  }

  #computeRest(count: number, startedAtMs: number, isCanceled: () => boolean): InlineResult | Promise<InlineResult> {
    for (let left = count; left > 0; ) {
      const done = this.#sliced.advance();
      left -= done;
      const rest = left;
      if (!this.#pacer.endSlice(done) || rest === 0) continue;
      return this.#pacer.pause().then(() => {
        const computeMs = this.#options.clock.nowMs() - startedAtMs;
        return isCanceled() ? { sum: undefined, computeMs } : this.#computeRest(rest, startedAtMs, isCanceled);
      });
    }
    return { sum: this.#sum(), computeMs: this.#options.clock.nowMs() - startedAtMs };
  }

  async #computeBesideOthers(
    step: number,
    shard: Shard,
    { yieldToOthers, isCanceled }: { yieldToOthers(): Promise<void>; isCanceled(): boolean },
  ): Promise<InlineResult> {
    const { clock } = this.#options;
    let computeMs = 0;
    let left = Number.POSITIVE_INFINITY;
    while (left > 0) {
      await yieldToOthers();
      if (isCanceled()) return { sum: undefined, computeMs };
      const beganAtMs = clock.nowMs();
      if (left === Number.POSITIVE_INFINITY) left = this.#begin(step, shard);
      else this.#pacer.begin();
      const done = this.#sliced.advance();
      left -= done;
      this.#pacer.endSlice(done);
      computeMs += clock.nowMs() - beganAtMs;
    }
    const sum = this.#sum();
    return { sum: sum && this.#copyOf(sum), computeMs };
  }

  #copyOf(sum: VectorSum): Storage {
    const { backend, aggregator } = this.#options.parameterServer;
    const copy = aggregator.reserveVector();
    if ('left' in sum) this.#adder.run(sum, copy);
    else backend.view(copy).set(backend.view(sum));
    return copy;
  }

  /** Returns the sum; undefined if a number is not finite. */
  #sum(): VectorSum | undefined {
    const { backend, parameterCount } = this.#options.parameterServer;
    if (!this.#sliced.isFinite()) return undefined;
    const sum = this.#options.addsWhole ? this.#sliced.vector() : this.#sliced.sum;
    return Number.isFinite(valueAt(backend, sum, parameterCount)) ? sum : undefined;
  }
}

function rowsOf({ samples, count }: SampleBatch): ShardBatch['samplesOf'] {
  const size = samples.length / count;
  return (from, to) => samples.subarray(from * size, to * size);
}

/**
 * Scaled bytes are moved to the backend's memory and converted there. Floats and tokens are copied as they are needed:
 * a sample of tokens has few values, and a long text would be in memory twice while it is moved.
 */
function rangesOf(backend: Backend, dataset: Dataset): (numbers: Uint32Array) => ShardBatch['samplesOf'] {
  const table = tableOf(backend, dataset);
  if (!table) return (numbers) => (from, to) => gatherValues(dataset.samples, numbers.subarray(from, to));
  moveSamples(dataset, () => table.bytes);
  return (numbers) => (from, to) => ({ table, numbers: numbers.subarray(from, to) });
}

/** Returns a copy of the samples in the backend's memory; undefined unless they are scaled bytes. */
function tableOf(backend: Backend, { samples, count }: Dataset): ByteTable | undefined {
  if (samples.role !== 'scaled') return undefined;
  const size = sizeOfField(samples);
  const table = createByteTable(backend, count, size);
  table.bytes.set(samples.values);
  return table;
}

interface InlineCopyOptions {
  readonly compute: Compute;
  readonly setup: ComputeSetup;
  readonly parameterServer: ParameterServer;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  readonly seed: number;
  readonly numericsCheck: NumericsCheck;
  /** The coordinator's own gradient of the numerics check. */
  readonly referenceGradient: ReferenceGradient;
  readonly hash: (bytes: Uint8Array) => string;
}

/** Computes shards on another backend than the parameter server's; weights and sums are copied between the two. */
export class InlineCopy implements InlineCompute {
  readonly #options: InlineCopyOptions;

  constructor(options: InlineCopyOptions) {
    this.#options = options;
  }

  get backend(): string {
    return this.#options.compute.backend;
  }

  get numericMode(): string {
    return this.#options.compute.numericMode;
  }

  get threads(): number {
    return this.#options.compute.threads;
  }

  get vectorBits(): number | undefined {
    return this.#options.compute.vectorBits;
  }

  async checkNumerics() {
    const { compute, setup, numericsCheck, referenceGradient, hash } = this.#options;
    const { weights, samples, targets, count } = numericsCheck;
    await compute.open(checkedSetup(setup));
    compute.setWeights(weights);
    // The first run is a warm-up, since backends compile on first use; the second is timed.
    await compute.gradient(samples, targets);
    const { gradient, computeMs } = await compute.gradient(samples, targets);
    const fault = numericsFault(referenceGradient, gradient);
    if (fault !== undefined) throw new Error(fault);
    const result = { hash: hash(gradient), samplesPerMs: computeMs > 0 ? count / computeMs : 0 };
    if (setup.innerSteps) await compute.open(setup);
    return result;
  }

  async compute(step: number, shard: Shard): Promise<InlineResult> {
    const { compute, parameterServer, plan, samples: source, seed } = this.#options;
    compute.setWeights(parameterServer.weightBytes());
    const batch = source.shard(step, shard.lo, shard.n);
    const key = { seed, step, firstSample: firstSample(plan, step, shard.lo) };
    const options = { key, halfUnit: plan.halfUnit };
    const result = await compute.gradient(batch.samples, batch.targets, options);
    const { gradient: bytes, computeMs, ...figures } = result;
    const { aggregator, parameterCount } = parameterServer;
    const memory = aggregator.reserve();
    const largest = aggregator.write(memory, { from: 0, to: parameterCount }, { bytes });
    if (aggregator.finish(memory, largest, figures)) return { sum: memory, computeMs };
    aggregator.release(memory);
    return { sum: undefined, computeMs };
  }
}

interface RefereeOptions {
  readonly model: Model;
  readonly targetField: TargetField;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  /** Keys the random choices of the model. */
  readonly seed: number;
  /** Provides the backend and the weights. */
  readonly parameterServer: Parameters;
}

/** A shard's sum, computed by the coordinator. */
export interface OwnSum {
  /** [parameters + 2], reserved in the aggregator: gradient, sum of losses, correct answers. */
  readonly memory: SumMemory;
  /** Number of samples in the shard. */
  readonly count: number;
}

/** With more parameters, vectors are borrowed from the aggregator for each shard instead of kept for rare use. */
const mostKeptParameters = 2 ** 20;

/** Creates a referee. It allocates its memory for the first shard, since most runs never need one. */
export function createReferee(options: RefereeOptions): (step: number, shard: Shard) => Promise<OwnSum> {
  const { model, targetField, plan, samples: source, seed, parameterServer } = options;
  const { microbatchSize, innerSteps } = plan;
  const { backend, aggregator, parameters, parameterCount } = parameterServer;
  const isKept = parameterCount <= mostKeptParameters;
  const shared = { take: () => aggregator.reserveVector(), give: (vector: Storage) => aggregator.release(vector) };
  const open = () =>
    new SlicedGradient(backend, { model, microbatchSize, targetField, innerSteps }, parameters, {
      vectors: isKept ? undefined : shared,
    });
  let kept: SlicedGradient | undefined;

  return async (step, { lo, n }) => {
    const batch = source.shard(step, lo, n);
    const { targets, count } = batch;
    const sliced = kept ?? open();
    const key = { seed, step, firstSample: firstSample(plan, step, lo) };
    sliced.begin({ count, samplesOf: rowsOf(batch), targets, key, halfUnit: plan.halfUnit });
    for (let left = count; left > 0; ) left -= sliced.advance();
    const vector = sliced.vector();
    if (!isKept) {
      sliced.dispose(vector);
      return { memory: vector, count };
    }
    kept = sliced;
    const memory = aggregator.reserveVector();
    backend.view(memory).set(backend.view(vector));
    return { memory, count };
  };
}

export interface ShardSource {
  /** Whether samples change with the epoch, so that only `shard` has them. */
  readonly isAugmented?: boolean;
  /** Returns the samples of the microbatches `lo .. lo + n - 1` of a step; always the same for the same shard. */
  shard(step: number, lo: number, n: number): SampleBatch;
  /** Returns their numbers in the training set, from 0; a view that must not be written to. */
  numbers(step: number, lo: number, n: number): Uint32Array;
  /** Returns their targets, in the same order. */
  targets(step: number, lo: number, n: number): SampleBatch['targets'];
  /** Returns samples by number. @throws RangeError if a number is not in the training set */
  take(numbers: Uint32Array): SampleBatch;
}

/** @param augment random changes to the samples of a shard, which must be pictures */
export function createShardSource(
  dataset: Dataset,
  plan: RunPlan,
  seed: number,
  augment: readonly Augmentation[] = [],
): ShardSource {
  const change = augment.length === 0 ? undefined : createAugmenter(fieldOf(dataset.samples), augment, seed);
  // Tasks are sent one step ahead, so two epochs are in use at the end of an epoch.
  const orders = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    const order = orders.get(epoch) ?? permutation(dataset.count, seed, epoch);
    orders.set(epoch, order);
    for (const other of orders.keys()) if (other < epoch - 1) orders.delete(other);
    return order;
  };
  return {
    isAugmented: change !== undefined,
    shard(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      const batch = gatherSamples(dataset, orderOf(epoch), from, to);
      change?.(batch.samples, orderOf(epoch).subarray(from, to), epoch);
      return batch;
    },
    numbers(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      return orderOf(epoch).subarray(from, to);
    },
    targets(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      return gatherValues(dataset.targets, orderOf(epoch).subarray(from, to));
    },
    take: (numbers) => gatherSamples(dataset, numbers, 0, numbers.length),
  };
}
