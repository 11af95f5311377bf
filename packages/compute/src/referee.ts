/** The coordinator's own computation of a shard, which decides between results that differ. */
import type { Model, TargetType } from '@lockstep/nn';
import type { Shard } from '@lockstep/rules';
import { firstSample, type RunPlan } from '@lockstep/rules';
import type { Storage } from '@lockstep/tensor';
import type { SumMemory } from './aggregator.ts';
import type { Parameters } from './parameters.ts';
import type { ShardSource } from './shard-source.ts';
import { SlicedGradient } from './sliced-gradient.ts';

export interface RefereeOptions {
  readonly model: Model;
  readonly targetType: TargetType;
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
  const { model, targetType, plan, samples: source, seed, parameterServer } = options;
  const { microbatchSize, innerSteps } = plan;
  const { backend, aggregator, parameters, parameterCount } = parameterServer;
  const isKept = parameterCount <= mostKeptParameters;
  const shared = { take: () => aggregator.reserveVector(), give: (vector: Storage) => aggregator.release(vector) };
  const open = () =>
    new SlicedGradient(backend, { model, microbatchSize, targetType, innerSteps }, parameters, {
      vectors: isKept ? undefined : shared,
    });
  let kept: SlicedGradient | undefined;

  return async (step, { lo, n }) => {
    const { samples, targets, count } = source.shard(step, lo, n);
    const sliced = kept ?? open();
    const size = samples.length / count;
    const samplesOf = (from: number, to: number) => samples.subarray(from * size, to * size);
    const key = { seed, step, firstSample: firstSample(plan, step, lo) };
    sliced.begin({ count, samplesOf, targets, key, halfUnit: plan.halfUnit });
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
