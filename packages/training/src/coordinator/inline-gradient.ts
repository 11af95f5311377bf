/** Computes shards on the parameter server's own backend: from its weights, into vectors that it adds. */
import type { Dataset } from '@lockstep/data';
import type { Model } from '@lockstep/nn';
import { type ByteTable, createByteTable } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import type { ParameterServer } from '../parameter-server.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import { valueAt } from '../vector-value.ts';
import { Pacer } from '../worker/pacer.ts';
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
  /** Pixels of the training set, where they are computed with. */
  readonly #pixels: ByteTable;

  constructor(options: InlineGradientOptions) {
    const { parameterServer, model, plan, dataset, clock } = options;
    const { backend, parameters } = parameterServer;
    this.#options = options;
    this.#sliced = new SlicedGradient(backend, model, plan.microbatchSize, parameters, true);
    this.#pacer = new Pacer(clock);
    const size = dataset.rows * dataset.columns;
    this.#pixels = createByteTable(backend, dataset.count, size);
    for (let sample = 0; sample < dataset.count; sample++) {
      this.#pixels.write(sample, dataset.images.subarray(sample * size, (sample + 1) * size));
    }
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
    const { samples, plan, seed, clock } = this.#options;
    const startedAtMs = clock.nowMs();
    const numbers = samples.numbers(step, shard.lo, shard.n);
    const batch = {
      count: numbers.length,
      pixelsOf: (from: number, to: number) => ({ table: this.#pixels, numbers: numbers.subarray(from, to) }),
      labels: samples.labels(step, shard.lo, shard.n),
      key: { seed, step, firstSample: firstSample(plan, step, shard.lo) },
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
