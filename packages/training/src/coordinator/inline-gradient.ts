/** Computes shards on the parameter server's own backend, from its weights. */
import { type Dataset, gatherRows, moveSamples, sampleSize } from '@lockstep/data';
import type { Model } from '@lockstep/nn';
import { type Backend, type ByteTable, createByteTable, type Storage, type VectorSum } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import type { ParameterServer } from '../parameter-server.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import { VectorAdder } from '../tree-sum.ts';
import { Pacer } from '../turns.ts';
import { valueAt } from '../vector-memory.ts';
import type { ShardBatch } from '../worker/pieces.ts';
import { SlicedGradient } from '../worker/sliced-gradient.ts';
import type { InlineCompute, InlineResult } from './inline-worker.ts';

export interface InlineGradientOptions {
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
  /** The coordinator's own result of the numerics check, on this backend. */
  readonly numerics: { readonly hash: string; readonly samplesPerMs: number };
}

/** Target time of a slice, for which events of remote workers have to wait. */
const besideOthersMs = 10;

export class InlineGradient implements InlineCompute {
  readonly #options: InlineGradientOptions;
  readonly #sliced: SlicedGradient;
  readonly #pacer: Pacer;
  readonly #adder: VectorAdder;
  /** Returns the samples with these numbers in the form that `SlicedGradient` takes. */
  readonly #rangesOf: (numbers: Uint32Array) => ShardBatch['samplesOf'];

  constructor(options: InlineGradientOptions) {
    const { parameterServer, model, plan, dataset, clock } = options;
    const { backend, parameters } = parameterServer;
    this.#options = options;
    const { microbatchSize, innerSteps } = plan;
    const setup = { model, microbatchSize, innerSteps, targetType: dataset.targets.type };
    this.#sliced = new SlicedGradient(backend, setup, parameters, { checksFinite: true });
    this.#pacer = new Pacer(clock, options.yieldToOthers && besideOthersMs);
    this.#adder = new VectorAdder(backend);
    this.#rangesOf = rangesOf(backend, dataset);
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
      samplesOf: this.#rangesOf(numbers),
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
    const { sum } = this.#sliced;
    return Number.isFinite(valueAt(backend, sum, parameterCount)) ? sum : undefined;
  }
}

/** Bytes are moved to the backend's memory and converted there; floats are copied as they are needed. */
function rangesOf(backend: Backend, dataset: Dataset): (numbers: Uint32Array) => ShardBatch['samplesOf'] {
  const size = sampleSize(dataset);
  const table = tableOf(backend, dataset, size);
  if (!table) return (numbers) => (from, to) => gatherRows(dataset.samples, size, numbers.subarray(from, to));
  moveSamples(dataset, () => table.bytes);
  return (numbers) => (from, to) => ({ table, numbers: numbers.subarray(from, to) });
}

/** Returns a copy of the samples in the backend's memory; undefined unless they are bytes. */
function tableOf(backend: Backend, { samples, count }: Dataset, size: number): ByteTable | undefined {
  if (!(samples instanceof Uint8Array)) return undefined;
  const table = createByteTable(backend, count, size);
  table.bytes.set(samples);
  return table;
}
