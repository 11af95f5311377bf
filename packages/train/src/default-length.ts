/** The batch and epochs of a run that does not ask for them: those of the recipe, and on small data more, smaller steps. */

/** Fewer steps in an epoch are too few to learn from; smaller batches cost more time than they give. */
const [leastStepsPerEpoch, leastBatch] = [8, 16];
const [leastEpochs, leastSteps] = [5, 500];

/** As help and documentation have them. */
export const defaultEpochsText = `${leastEpochs}, or as many as make ${leastSteps} steps`;

/**
 * The recipe's batch, halved until an epoch has 8 steps, though not below 16; at most the whole set.
 * @param samples of the training set
 */
export function defaultBatch(samples: number, recipeBatch: number): number {
  let batch = recipeBatch;
  while (batch > leastBatch && Math.ceil(samples / batch) < leastStepsPerEpoch) batch /= 2;
  return Math.min(batch, samples);
}

/** Measured with momentum on MNIST: eight times the rate at batch 1024 reaches 97.9 %, sixteen times at 2048 only 96.4 %. */
const mostScale = 8;

/**
 * What a default learning rate of SGD is multiplied with where the batch is not the recipe's: the linear scaling rule of
 * Goyal et al., https://arxiv.org/abs/1706.02677, up to 8.
 */
export function learningRateScale(batch: number, recipeBatch: number): number {
  return Math.min(mostScale, Math.max(batch, leastBatch) / recipeBatch);
}

/** 5, or as many as make 500 steps; as many as it takes where the steps were asked for. */
export function defaultEpochs(stepsPerEpoch: number, askedSteps?: number): number {
  if (askedSteps !== undefined) return Math.ceil(askedSteps / stepsPerEpoch);
  return Math.max(leastEpochs, Math.ceil(leastSteps / stepsPerEpoch));
}
