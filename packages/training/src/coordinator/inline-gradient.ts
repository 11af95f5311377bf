/** Computes shards on the parameter server's own backend: from its weights, into vectors that it adds. */
import { type Dataset, gatherRows, moveSamples, sampleSize } from '@lockstep/data';
import type { Model } from '@lockstep/nn';
import { type Backend, type ByteTable, createByteTable } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import type { ParameterServer } from '../parameter-server.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import { valueAt } from '../vector-value.ts';
import { Pacer } from '../worker/pacer.ts';
import type { ShardBatch } from '../worker/piece.ts';
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
  /** What the coordinator itself found for the numerics check, on this backend. */
  readonly numerics: { readonly hash: string; readonly samplesPerMs: number };
}

export class InlineGradient implements InlineCompute {
  readonly #options: InlineGradientOptions;
  readonly #sliced: SlicedGradient;
  readonly #pacer: Pacer;
  /** Of the samples with these numbers, what the gradient takes. */
  readonly #rangesOf: (numbers: Uint32Array) => ShardBatch['samplesOf'];

  constructor(options: InlineGradientOptions) {
    const { parameterServer, model, plan, dataset, clock } = options;
    const { backend, parameters } = parameterServer;
    this.#options = options;
    const { microbatchSize, innerSteps } = plan;
    const setup = { model, microbatchSize, innerSteps, targetType: dataset.targets.type };
    this.#sliced = new SlicedGradient(backend, setup, parameters, { checksFinite: true });
    this.#pacer = new Pacer(clock);
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

  add(step: number, shard: Shard): InlineResult | Promise<InlineResult> {
    const { samples, plan, seed, clock, parameterServer } = this.#options;
    const startedAtMs = clock.nowMs();
    const numbers = samples.numbers(step, shard.lo, shard.n);
    const batch = {
      count: numbers.length,
      samplesOf: this.#rangesOf(numbers),
      targets: samples.targets(step, shard.lo, shard.n),
      key: { seed, step, firstSample: firstSample(plan, step, shard.lo) },
      rounding: parameterServer.rounding,
    };
    this.#sliced.begin(batch, this.#pacer.sliceSamples);
    this.#pacer.begin();
    return this.#addRest(shard, numbers.length, startedAtMs);
  }

  #addRest(shard: Shard, count: number, startedAtMs: number): InlineResult | Promise<InlineResult> {
    for (let left = count; left > 0; ) {
      const done = this.#sliced.advance();
      left -= done;
      const rest = left;
      if (!this.#pacer.endSlice(done) || rest === 0) continue;
      return this.#pacer.pause().then(() => this.#addRest(shard, rest, startedAtMs));
    }
    return { isFinite: this.#addSum(shard), computeMs: this.#options.clock.nowMs() - startedAtMs };
  }

  /** @returns false, with nothing added, where a number is not finite */
  #addSum(shard: Shard): boolean {
    const { backend, aggregator, parameterCount } = this.#options.parameterServer;
    if (!this.#sliced.isFinite()) return false;
    const { sum } = this.#sliced;
    if (!Number.isFinite(valueAt(backend, sum, parameterCount))) return false;
    aggregator.addInPlace(shard, sum);
    return true;
  }
}

/** Bytes are moved to where they are computed with, and converted there; floats are copied as they are needed. */
function rangesOf(backend: Backend, dataset: Dataset): (numbers: Uint32Array) => ShardBatch['samplesOf'] {
  const size = sampleSize(dataset);
  const table = tableOf(backend, dataset, size);
  if (!table) return (numbers) => (from, to) => gatherRows(dataset.samples, size, numbers.subarray(from, to));
  moveSamples(dataset, () => table.bytes);
  return (numbers) => (from, to) => ({ table, numbers: numbers.subarray(from, to) });
}

/** A copy of the samples, where they are bytes. */
function tableOf(backend: Backend, { samples, count }: Dataset, size: number): ByteTable | undefined {
  if (!(samples instanceof Uint8Array)) return undefined;
  const table = createByteTable(backend, count, size);
  table.bytes.set(samples);
  return table;
}
