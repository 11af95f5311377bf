/** Computes shards on another backend than the parameter server's; weights and sums are copied between the two. */
import { checkedSetup, type NumericsCheck, numericsFault, type ReferenceGradient } from '../numerics-check.ts';
import type { ParameterServer } from '../parameter-server.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { Compute, ComputeSetup } from '../worker/compute.ts';
import type { InlineCompute, InlineResult } from './inline-worker.ts';

export interface InlineCopyOptions {
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
