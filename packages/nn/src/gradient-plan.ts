/** Compiled gradient of one microbatch, or of all microbatches of a shard at once. */
import { type Backend, type Storage, sum, type Tensor, valueAndGrad } from '@lockstep/tensor';
import { forward } from './forward.ts';
import { createLabeledPlan, type LabeledPlan } from './labeled-plan.ts';
import { layerKind } from './layers/index.ts';
import { losses, type TargetType } from './losses.ts';
import type { Model } from './model.ts';

interface GradientPlanOptions {
  /** Determines the loss; classes by default. */
  readonly targetType?: TargetType | undefined;
  /** Number of microbatches to sum over separately; by default, sums run over all samples at once. */
  readonly microbatches?: number | undefined;
  /** Replaces the plan's own output; still owned by the caller. */
  readonly output?: Storage | undefined;
}

/**
 * Compiles a plan that computes the gradient of one microbatch.
 * `output` [P + 2] holds the SUM of the loss's gradient over its `samples` samples, in the order of the flat
 * `parameters` [P], then the sum of the losses, then the number of correctly classified samples (0 if targets are
 * values). The caller owns `parameters`; each run reads their current values.
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
 * Same as `createMicrobatchGradient`, for several microbatches at once.
 * The result has the bits of the microbatches computed one by one and added in pairs of neighbors, the sums again in
 * pairs, and so on. Needs a backend with `microbatchSums`.
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
