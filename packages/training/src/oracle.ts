/**
 * A run without coordinator, worker, shard or message: the shortest code that the same weights can come from.
 *
 * Tests hold every other way of running against it. It adds microbatches by recursion over the tree's definition, in plain
 * loops, and shares no code with the sums that run in training.
 */
import {
  createMicrobatchGradient,
  createOptimizer,
  type Model,
  type OptimizerConfig,
  parameterCount,
} from '@lockstep/nn';
import type { HostBackend } from '@lockstep/tensor';
import { firstSample, type RunPlan, stepBatch, usedMicrobatches } from './plan.ts';
import type { ShardSource } from './shard-source.ts';

export interface OracleOptions {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  readonly weights: Float32Array;
  readonly optimizer: OptimizerConfig;
  /** Fixes what the model drops at random; 0 where left out. */
  readonly seed?: number;
}

/** The weights after all steps of the plan. */
export function oracleWeights(options: OracleOptions): Float32Array {
  const { backend, model, plan, samples, seed = 0 } = options;
  const size = parameterCount(model);
  const parameters = backend.allocate(size);
  const gradient = backend.allocate(size);
  backend.upload(parameters, options.weights);
  const optimizer = createOptimizer(backend, options.optimizer, parameters, gradient);

  const microbatchSum = (step: number, microbatch: number): Float32Array => {
    const { pixels, labels } = samples.shard(step, microbatch, 1);
    const microbatchGradient = createMicrobatchGradient(backend, model, labels.length, parameters);
    microbatchGradient.run(pixels, labels, { seed, step, firstSample: firstSample(plan, step, microbatch) });
    const sum = backend.view(microbatchGradient.output).slice(0, size);
    microbatchGradient.dispose();
    return sum;
  };

  const nodeSum = (step: number, lo: number, n: number): Float32Array => {
    if (n === 1) return microbatchSum(step, lo);
    const left = nodeSum(step, lo, n / 2);
    if (lo + n / 2 >= usedMicrobatches(plan, step)) return left;
    const right = nodeSum(step, lo + n / 2, n / 2);
    return left.map((value, index) => value + right[index]!);
  };

  for (let step = 0; step < plan.steps; step++) {
    backend.upload(gradient, nodeSum(step, 0, plan.microbatches));
    optimizer.step(stepBatch(plan, step).count);
  }
  const weights = backend.view(parameters).slice();
  optimizer.dispose();
  backend.free(gradient);
  backend.free(parameters);
  return weights;
}
