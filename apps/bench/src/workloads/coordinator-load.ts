/** The load of the coordinator's benchmarks: what it and its workers send each other, and the weights that follow. */
import { initialize, parameterCount, resolveModel } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import type { Check } from '../benchmark.ts';
import { norm, relativeDistance } from '../statistics.ts';

export const microbatchSize = 16;
export const learningRate = 0.1;
export const model = resolveModel('mlp');
export const pixelsPerSample = 784;

/** Samples in a step, shared equally by all workers: enough for a microbatch each. */
export function batchOf(workers: number): number {
  return microbatchSize * Math.max(8, workers);
}

/** Bytes that travel in each direction for each worker and step, the pixels left out. */
export const vectorBytes = parameterCount(model) * 4;

/** Steps of each burst before the clock starts: sockets that were just opened have small windows. */
export const warmUpSteps = 60;

export function initialWeights(): Float32Array {
  return initialize(model, 1);
}

/** The answer of every worker to every task: values in [-0.5, 0.5), the same on every machine. */
export function readyGradient(): Float32Array<ArrayBuffer> {
  const random = randomStream(7);
  return Float32Array.from({ length: parameterCount(model) }, () => random() - 0.5);
}

/** Checks by their change, in double precision, the weights after a burst of `steps` steps and its warm-up. */
export function coordinatorCheck(workers: number, steps: number): (weights: Float32Array) => Check {
  const initial = initialWeights();
  const rate = (learningRate * (warmUpSteps + steps) * workers) / batchOf(workers);
  const expected = Float64Array.from(readyGradient(), (value) => -rate * value);
  return (weights) => ({
    distance: relativeDistance(
      Float64Array.from(weights, (weight, index) => weight - initial[index]!),
      expected,
    ),
    figure: norm(weights),
  });
}
