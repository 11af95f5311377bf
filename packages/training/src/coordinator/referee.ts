/** The coordinator's own computation of a shard, which decides between results that differ. */
import type { Model, TargetType } from '@lockstep/nn';
import type { Parameters } from '../parameters.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { ShardGradient } from '../worker/compute.ts';
import { SlicedGradient } from '../worker/sliced-gradient.ts';

export interface RefereeOptions {
  readonly model: Model;
  readonly targetType: TargetType;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  /** Keys the random choices of the model. */
  readonly seed: number;
  /** The shards are computed on its backend, from its own weights. */
  readonly parameterServer: Parameters;
  readonly nowMs: () => number;
}

/** Vectors of more parameters are freed after each shard: a run with them needs the memory, and rarely a referee. */
const mostKeptParameters = 2 ** 20;

/** Opens its compute with the first shard, since most runs never need it. */
export function createReferee(options: RefereeOptions): (step: number, shard: Shard) => Promise<ShardGradient> {
  const { model, targetType, plan, samples: source, seed, parameterServer, nowMs } = options;
  const { microbatchSize, innerSteps } = plan;
  const { backend, parameters, parameterCount } = parameterServer;
  let kept: SlicedGradient | undefined;

  return async (step, { lo, n }) => {
    const startedAtMs = nowMs();
    const sliced = kept ?? new SlicedGradient(backend, { model, microbatchSize, targetType, innerSteps }, parameters);
    const { samples, targets, count } = source.shard(step, lo, n);
    const size = samples.length / count;
    const samplesOf = (from: number, to: number) => samples.subarray(from * size, to * size);
    const key = { seed, step, firstSample: firstSample(plan, step, lo) };
    sliced.begin({ count, samplesOf, targets, key, rounding: parameterServer.rounding });
    for (let left = count; left > 0; ) left -= sliced.advance();
    const values = backend.view(sliced.vector()).slice();
    kept = parameterCount > mostKeptParameters ? undefined : sliced;
    if (!kept) sliced.dispose();
    return {
      gradient: new Uint8Array(values.buffer, 0, parameterCount * 4),
      ...{ lossSum: values[parameterCount]!, correct: values[parameterCount + 1]!, count },
      computeMs: nowMs() - startedAtMs,
    };
  };
}
