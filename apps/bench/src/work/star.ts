/** The work of the star question: what one coordinator and its workers send each other, and the weights that come of it. */
import { initialize, parameterCount, resolveModel } from '@lockstep/nn';
import type { Verdict } from '../question.ts';
import { relativeDistance } from '../statistics.ts';

export const starMicrobatchSize = 16;
export const starLearningRate = 0.1;
export const starModel = resolveModel('mlp');
export const starPixels = 784;

/** Samples in a step, over all workers: enough for a microbatch each. Each gets an equal share of the pixels. */
export function starBatch(workers: number): number {
  return starMicrobatchSize * Math.max(8, workers);
}

/** Bytes that travel in each direction for each worker and step, the pixels left out. */
export const starVectorBytes = parameterCount(starModel) * 4;

/** Steps of each burst before the clock starts: sockets that were just opened have small windows. */
export const starWarmUpSteps = 60;

export function starInitial(): Float32Array {
  return initialize(starModel, 1);
}

/** What every worker answers at once, whatever it is asked: values in [-0.5, 0.5), the same on every machine. */
export function starGradient(): Float32Array<ArrayBuffer> {
  let state = 7;
  return Float32Array.from({ length: parameterCount(starModel) }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24 - 0.5;
  });
}

/** Judges the weights after a burst of `steps` steps, those of the warm-up not counted, of `workers` workers by how far they have moved, in double precision. */
export function starJudge(workers: number, steps: number): (weights: Float32Array) => Verdict {
  const initial = starInitial();
  const taken = starWarmUpSteps + steps;
  const change = Float64Array.from(
    starGradient(),
    (value) => (-starLearningRate * taken * workers * value) / starBatch(workers),
  );
  return (weights) => ({
    distance: relativeDistance(
      Float64Array.from(weights, (weight, index) => weight - initial[index]!),
      change,
    ),
    figure: Math.sqrt(weights.reduce((sum, value) => sum + value * value, 0)),
  });
}
