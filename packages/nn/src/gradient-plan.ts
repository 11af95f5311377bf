/** The compiled gradient of one microbatch, or of the microbatches of a shard at once. */
import { type Backend, type Storage, sum, type Tensor, valueAndGrad } from '@lockstep/tensor';
import { forward } from './forward.ts';
import { createLabeledPlan, type LabeledPlan } from './labeled-plan.ts';
import { layerKind } from './layers/index.ts';
import { losses, type TargetType } from './losses.ts';
import type { Model } from './model.ts';

interface GradientPlanOptions {
  /** Which decides the loss; classes where left out. */
  readonly targetType?: TargetType | undefined;
  /** Sums over the samples are taken per microbatch where it is given, else over all samples at once. */
  readonly microbatches?: number | undefined;
  /** Stands for the plan's own output where it is given; it stays the caller's. */
  readonly output?: Storage | undefined;
}

/**
 * A plan of the gradient of one microbatch.
 * `output` [P + 2] holds the SUM over its `samples` samples of the loss's gradient, in the order of the flat
 * `parameters` [P], then the sum of the losses, then how many were classified correctly, 0 where targets are values.
 * `parameters` stay the caller's and are read anew at each run.
 */
export function createMicrobatchGradient(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  { targetType = 'classes', microbatches, output }: GradientPlanOptions = {},
): LabeledPlan {
  const isRandom = model.layers.some((layer) => layerKind(layer).isRandom?.(layer) ?? false);
  const sumOptions = microbatches === undefined ? {} : { microbatches };
  const kind = losses[targetType];
  const options = { targetType, isRandom, output };
  return createLabeledPlan(backend, model, samples, parameters, options, (x, targets, tensors, random) => {
    let correctSum: Tensor | undefined;
    const loss = (...weights: Tensor[]): Tensor => {
      const outputs = forward(model, x, weights, random);
      correctSum = kind.correct(outputs, targets, sumOptions);
      return sum(kind.each(outputs, targets), sumOptions);
    };
    const { value, gradients } = valueAndGrad(loss, tensors, sumOptions);
    return [...gradients, value, correctSum!];
  });
}

/**
 * As `createMicrobatchGradient`, for several microbatches at once.
 * It gives to the bit what they give one by one, added in pairs of neighbors, the sums in pairs again, and so on. For
 * backends with `microbatchSums`.
 */
export function createShardGradient(
  backend: Backend,
  model: Model,
  { microbatches, microbatchSize }: { readonly microbatches: number; readonly microbatchSize: number },
  parameters: Storage,
  options: Pick<GradientPlanOptions, 'targetType' | 'output'> = {},
): LabeledPlan {
  if (!backend.microbatchSums) throw new Error(`shard: the backend ${backend.name} computes one microbatch at a time`);
  return createMicrobatchGradient(backend, model, microbatches * microbatchSize, parameters, {
    ...options,
    microbatches,
  });
}
