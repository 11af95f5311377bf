/**
 * The oracle: a run without coordinator, worker, shard or message, in the shortest code that gives the same weights. It
 * adds microbatches by recursion over the tree's definition, in plain loops, and shares no code with the sums that run
 * in training.
 */

import { roundToHalves, type ShardSource } from '@lockstep/compute';
import { classField, type TargetField } from '@lockstep/data';
import {
  createMicrobatchGradient,
  createOptimizer,
  type LabeledPlan,
  type Model,
  type OptimizerConfig,
  parameterCount,
  parameterLayout,
} from '@lockstep/nn';
import { bytesOf, floatsFrom } from '@lockstep/protocol';
import { firstSample, type InnerSteps, type RunPlan, stepBatch, usedMicrobatches } from '@lockstep/rules';
import type { HostBackend, Storage } from '@lockstep/tensor';

interface OracleOptions {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly plan: RunPlan;
  readonly samples: ShardSource;
  /** [parameters], before the first step. */
  readonly weights: Float32Array;
  readonly optimizer: OptimizerConfig;
  /** Classes by default. */
  readonly targetField?: TargetField;
  /** Steps to take; by default all of the plan. */
  readonly steps?: number;
  /** Key of the model's random choices; 0 by default. */
  readonly seed?: number;
  /** Rounds the weights as a numeric mode does before it computes a gradient; both little-endian float32. */
  readonly round?: (weights: Uint8Array) => Uint8Array;
}

/** Returns the weights after the steps of the plan. */
export function oracleWeights(options: OracleOptions): Float32Array {
  const { backend, model, plan, weights, targetField = classField, round = (bytes) => bytes } = options;
  const microbatches = microbatchGradients(backend, model, targetField);
  const rounded = (node: Float32Array): Float32Array => {
    if (plan.halfUnit !== undefined) roundToHalves(node, plan.halfUnit);
    return node;
  };
  const parameters = backend.allocate(weights.length);
  const gradient = backend.allocate(weights.length);
  backend.upload(parameters, weights);
  const optimizer = createOptimizer(backend, options.optimizer, parameters, parameterLayout(model));
  for (let step = 0; step < (options.steps ?? plan.steps); step++) {
    backend.upload(microbatches.parameters, floatsFrom(round(bytesOf(backend.view(parameters)))));
    const ofMicrobatch = (index: number): Float32Array => rounded(sumOver(options, step, index, microbatches));
    const root = nodeSum(ofMicrobatch, rounded, usedMicrobatches(plan, step), 0, plan.microbatches);
    backend.upload(gradient, root);
    const { count } = stepBatch(plan, step);
    optimizer.step(plan.innerSteps ? Math.ceil(count / plan.microbatchSize) : count, gradient);
  }
  const result = backend.view(parameters).slice();
  optimizer.dispose();
  backend.free(gradient);
  backend.free(parameters);
  return result;
}

/** Plans of single microbatches by number of samples, with parameters of their own. */
interface MicrobatchGradients {
  readonly parameters: Storage;
  readonly planOf: (samples: number) => LabeledPlan;
}

const kept = new WeakMap<HostBackend, WeakMap<Model, Map<string, MicrobatchGradients>>>();

/** Compiles the plans once and keeps them as long as the backend: thousands of runs train the same model. */
function microbatchGradients(backend: HostBackend, model: Model, targetField: TargetField): MicrobatchGradients {
  const ofBackend = kept.get(backend) ?? new WeakMap<Model, Map<string, MicrobatchGradients>>();
  kept.set(backend, ofBackend);
  const ofModel = ofBackend.get(model) ?? new Map<string, MicrobatchGradients>();
  ofBackend.set(model, ofModel);
  const key = JSON.stringify(targetField);
  const known = ofModel.get(key);
  if (known) return known;
  const parameters = backend.allocate(parameterCount(model));
  const plans = new Map<number, LabeledPlan>();
  const planOf = (samples: number): LabeledPlan => {
    const plan = plans.get(samples) ?? createMicrobatchGradient(backend, model, samples, parameters, { targetField });
    plans.set(samples, plan);
    return plan;
  };
  ofModel.set(key, { parameters, planOf });
  return { parameters, planOf };
}

function sumOver(options: OracleOptions, step: number, index: number, microbatches: MicrobatchGradients): Float32Array {
  const { innerSteps } = options.plan;
  return innerSteps
    ? replicaDelta(options, microbatches, innerSteps, step, index)
    : microbatchSum(options, microbatches, step, index);
}

function microbatchSum(
  options: OracleOptions,
  { planOf }: MicrobatchGradients,
  step: number,
  index: number,
): Float32Array {
  const { backend, model, plan, seed = 0 } = options;
  const { samples, targets, count } = options.samples.shard(step, index, 1);
  const gradient = planOf(count);
  gradient.run(samples, targets, { seed, step, firstSample: firstSample(plan, step, index) });
  return backend.view(gradient.output).slice(0, parameterCount(model));
}

/** Returns the change `before - after` of a replica's inner steps, and restores the weights. */
function replicaDelta(
  options: OracleOptions,
  { parameters, planOf }: MicrobatchGradients,
  { batch, ...config }: InnerSteps,
  step: number,
  index: number,
): Float32Array {
  const { backend, plan, seed = 0 } = options;
  const [learningRate, momentum] = [Math.fround(config.learningRate), Math.fround(config.momentum)];
  const { samples, targets, count } = options.samples.shard(step, index, 1);
  const before = backend.view(parameters).slice();
  const [weights, velocity] = [before.slice(), new Float32Array(before.length)];
  for (let from = 0; from < count; from += batch) {
    const to = Math.min(count, from + batch);
    const part = <Values extends Float32Array | Uint8Array | Uint16Array>(values: Values): Values =>
      values.subarray((values.length / count) * from, (values.length / count) * to) as Values;
    backend.upload(parameters, weights);
    const gradient = planOf(to - from);
    gradient.run(part(samples), part(targets), { seed, step, firstSample: firstSample(plan, step, index) + from });
    const sums = backend.view(gradient.output);
    for (let at = 0; at < weights.length; at++) {
      velocity[at] = Math.fround(momentum * velocity[at]!) + Math.fround(sums[at]! / (to - from));
      weights[at] = weights[at]! - Math.fround(learningRate * velocity[at]!);
    }
  }
  backend.upload(parameters, before);
  return before.map((value, at) => value - weights[at]!);
}

/** Sums the microbatches `lo .. lo + n - 1`: left half plus right half, if the right half holds a sample. */
function nodeSum(
  ofMicrobatch: (index: number) => Float32Array,
  rounded: (node: Float32Array) => Float32Array,
  used: number,
  lo: number,
  n: number,
): Float32Array {
  if (n === 1) return ofMicrobatch(lo);
  const left = nodeSum(ofMicrobatch, rounded, used, lo, n / 2);
  if (lo + n / 2 >= used) return left;
  const right = nodeSum(ofMicrobatch, rounded, used, lo + n / 2, n / 2);
  return rounded(left.map((value, index) => value + right[index]!));
}
