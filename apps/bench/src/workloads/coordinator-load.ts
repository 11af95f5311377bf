/** The load of the coordinator's benchmarks: what it and its workers send each other, and the resulting weights. */
import { initialize, parameterCount, resolveModel } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import type { Check } from '../benchmark.ts';
import { norm, relativeDistance } from '../statistics.ts';

export const microbatchSize = 16;
export const learningRate = 0.1;
export const model = resolveModel('mlp');
export const pixelsPerSample = 784;

/** Samples in a step, shared equally by all workers: enough for one microbatch each. */
export function batchOf(workers: number): number {
  return microbatchSize * Math.max(8, workers);
}

/** Bytes in each direction for each worker and step, without the pixels. */
export const vectorBytes = parameterCount(model) * 4;

/** Steps of each burst before the clock starts: newly opened sockets have small windows. */
export const warmUpSteps = 60;

export function initialWeights(): Float32Array {
  return initialize(model, 1);
}

/** Gradient of every microbatch: values in [-0.5, 0.5), the same on every machine. */
export function readyGradient(): Float32Array<ArrayBuffer> {
  const random = randomStream(7);
  return Float32Array.from({ length: parameterCount(model) }, () => random() - 0.5);
}

/** Checks the change of the weights in double precision, after a burst of `steps` steps and its warm-up. */
export function coordinatorCheck(steps: number): (weights: Float32Array) => Check {
  const initial = initialWeights();
  const rate = (learningRate * (warmUpSteps + steps)) / microbatchSize;
  const expected = Float64Array.from(readyGradient(), (value) => -rate * value);
  return (weights) => ({
    distance: relativeDistance(
      Float64Array.from(weights, (weight, index) => weight - initial[index]!),
      expected,
    ),
    figure: norm(weights),
  });
}
