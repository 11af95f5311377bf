/**
 * The oracle: a run without coordinator, worker, shard or message, the shortest code that gives the same weights.
 *
 * It adds microbatches by recursion over the tree's definition, in plain loops, and shares no code with the sums that
 * run in training.
 */
import {
  createMicrobatchGradient,
  createOptimizer,
  type Model,
  type OptimizerConfig,
  parameterCount,
} from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { firstSample, type RunPlan, stepBatch, usedMicrobatches } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';

export interface OracleOptions {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  /** [parameters], before the first step. */
  readonly weights: Float32Array;
  readonly optimizer: OptimizerConfig;
  /** Keys the random choices of the model; 0 where left out. */
  readonly seed?: number;
}

/** The weights after all steps of the plan. */
export function oracleWeights(options: OracleOptions): Float32Array {
  const { backend, plan, weights } = options;
  const parameters = backend.allocate(weights.length);
  const gradient = backend.allocate(weights.length);
  backend.upload(parameters, weights);
  const optimizer = createOptimizer(backend, options.optimizer, parameters, gradient);
  for (let step = 0; step < plan.steps; step++) {
    const ofMicrobatch = (index: number): Float32Array => microbatchSum(options, parameters, step, index);
    backend.upload(gradient, nodeSum(ofMicrobatch, usedMicrobatches(plan, step), 0, plan.microbatches));
    optimizer.step(stepBatch(plan, step).count);
  }
  const result = backend.view(parameters).slice();
  optimizer.dispose();
  backend.free(gradient);
  backend.free(parameters);
  return result;
}

function microbatchSum(options: OracleOptions, parameters: Storage, step: number, index: number): Float32Array {
  const { backend, model, plan, samples, seed = 0 } = options;
  const { pixels, labels } = samples.shard(step, index, 1);
  const gradient = createMicrobatchGradient(backend, model, labels.length, parameters);
  gradient.run(pixels, labels, { seed, step, firstSample: firstSample(plan, step, index) });
  const sum = backend.view(gradient.output).slice(0, parameterCount(model));
  gradient.dispose();
  return sum;
}

/** The sum over the microbatches `lo .. lo + n - 1`: left half plus right half, where the right half holds a sample. */
function nodeSum(ofMicrobatch: (index: number) => Float32Array, used: number, lo: number, n: number): Float32Array {
  if (n === 1) return ofMicrobatch(lo);
  const left = nodeSum(ofMicrobatch, used, lo, n / 2);
  if (lo + n / 2 >= used) return left;
  const right = nodeSum(ofMicrobatch, used, lo + n / 2, n / 2);
  return left.map((value, index) => value + right[index]!);
}
