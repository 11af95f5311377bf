/**
 * A run without coordinator, worker, block or message: the shortest code that the same weights can come from.
 *
 * Tests hold every other way of running against it. It adds leaves by recursion over the tree's definition, in plain
 * loops, and shares no code with the sums that run in training.
 */
import { createLeafGradient, createOptimizer, type Model, type OptimizerConfig, parameterCount } from '@lockstep/nn';
import type { HostBackend } from '@lockstep/tensor';
import { firstSample, type RunPlan, stepBatch, usedLeaves } from './plan.ts';
import type { BlockSource } from './samples.ts';

export interface OracleOptions {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly samples: BlockSource;
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

  const leafSum = (step: number, leaf: number): Float32Array => {
    const { pixels, labels } = samples.block(step, leaf, 1);
    const leafGradient = createLeafGradient(backend, model, labels.length, parameters);
    leafGradient.run(pixels, labels, { seed, step, firstSample: firstSample(plan, step, leaf) });
    const sum = backend.view(leafGradient.output).slice(0, size);
    leafGradient.dispose();
    return sum;
  };

  const nodeSum = (step: number, lo: number, n: number): Float32Array => {
    if (n === 1) return leafSum(step, lo);
    const left = nodeSum(step, lo, n / 2);
    if (lo + n / 2 >= usedLeaves(plan, step)) return left;
    const right = nodeSum(step, lo + n / 2, n / 2);
    return left.map((value, index) => value + right[index]!);
  };

  for (let step = 0; step < plan.steps; step++) {
    backend.upload(gradient, nodeSum(step, 0, plan.leaves));
    optimizer.step(stepBatch(plan, step).count);
  }
  const weights = backend.view(parameters).slice();
  optimizer.dispose();
  backend.free(gradient);
  backend.free(parameters);
  return weights;
}
