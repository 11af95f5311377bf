/** The geometry and the inner steps of a DiLoCo run, with defaults. */
import { configurationError, named } from '@lockstep/worker';
import type { TrainOptions } from './options.ts';
import type { DiLoCoConfig } from './record/report.ts';

/** Defaults with which 784-128-10 reaches the accuracy of synchronous steps. */
export const dilocoDefaults: DiLoCoConfig = {
  replicas: 8,
  innerSteps: 50,
  batch: 16,
  learningRate: 0.02,
  momentum: 0.9,
};

/** The learning rate of the outer step, for sgd and momentum. */
export const outerLearningRate = 0.7;

/** @returns undefined unless DiLoCo is requested */
export function dilocoOf({ diloco = false, batch }: TrainOptions): DiLoCoConfig | undefined {
  if (diloco === false) return undefined;
  const { replicas, innerSteps, learningRate, momentum } = diloco === true ? {} : diloco;
  return {
    replicas: replicas ?? dilocoDefaults.replicas,
    innerSteps: innerSteps ?? dilocoDefaults.innerSteps,
    batch: typeof batch === 'number' ? batch : dilocoDefaults.batch,
    learningRate: learningRate ?? dilocoDefaults.learningRate,
    momentum: momentum ?? dilocoDefaults.momentum,
  };
}

/**
 * A round as a step of the plan, in which each replica is a microbatch.
 * @throws ConfigurationError if the training set is smaller than a round
 */
export function roundOf({ replicas, innerSteps, batch, learningRate, momentum }: DiLoCoConfig, samples: number) {
  const microbatchSize = innerSteps * batch;
  const round = replicas * microbatchSize;
  if (round > samples) {
    const product = `${replicas} replicas x ${innerSteps} inner steps x ${batch} samples`;
    throw configurationError`${named('diloco.innerSteps')}: expected a round of at most the ${samples} samples of the training set, got ${product}, which are ${round}`;
  }
  return { batch: round, microbatchSize, innerSteps: { batch, learningRate, momentum } };
}

/** A description of a round, to be followed by one of the outer optimizer. */
export function describeRound({ replicas, innerSteps, batch, learningRate, momentum }: DiLoCoConfig): string {
  const round = `rounds of ${replicas} replicas x ${innerSteps} inner steps x ${batch} samples`;
  return `${round} (learning rate ${learningRate}, momentum ${momentum}), then`;
}
