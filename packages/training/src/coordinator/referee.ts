/** The coordinator's own computation of a shard, which decides between results that differ. */
import type { Model, TargetType } from '@lockstep/nn';
import type { Backend } from '@lockstep/tensor';
import type { ParameterServer } from '../parameter-server.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { Compute, ShardGradient } from '../worker/compute.ts';
import { createLocalCompute } from '../worker/local-compute.ts';

export interface RefereeOptions {
  readonly backend: Backend;
  readonly model: Model;
  readonly targetType: TargetType;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  /** Keys the random choices of the model. */
  readonly seed: number;
  readonly parameterServer: ParameterServer;
  readonly nowMs: () => number;
}

/** Opens its compute with the first shard, since most runs never need it. Shards are computed one after another. */
export function createReferee(options: RefereeOptions): (step: number, shard: Shard) => Promise<ShardGradient> {
  const { backend, model, targetType, plan, samples: source, seed, parameterServer, nowMs } = options;
  let compute: Compute | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  const gradientOf = async (step: number, { lo, n }: Shard): Promise<ShardGradient> => {
    if (!compute) {
      compute = createLocalCompute(backend, { nowMs });
      const { microbatchSize, innerSteps } = plan;
      await compute.open({ model, microbatchSize, targetType, innerSteps });
    }
    compute.setWeights(parameterServer.weightBytes());
    const { samples, targets } = source.shard(step, lo, n);
    const key = { seed, step, firstSample: firstSample(plan, step, lo) };
    return compute.gradient(samples, targets, { key, rounding: parameterServer.rounding });
  };

  return (step, shard) => {
    const result = queue.then(() => gradientOf(step, shard));
    queue = result.catch(() => {});
    return result;
  };
}
