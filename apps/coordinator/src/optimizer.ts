/** The optimizer that options describe, and how a person is told of it. */
import { usageFailure } from '@lockstep/command';
import { type OptimizerConfig, parseOptimizer, type Schedule, type ScheduleType } from '@lockstep/nn';
import type { CoordinatorOptions } from './options.ts';
import { defaultLearningRates, type Recipe } from './recipes.ts';

/**
 * @param steps of the whole run, over which a schedule is spread
 * @throws CommandFailure with exit code 2
 */
export function optimizerOf(options: CoordinatorOptions, steps: number, recipe: Recipe): OptimizerConfig {
  const { optimizer: type, momentum, nesterov, clip, 'weight-decay': weightDecay } = options;
  const isDescent = type === 'sgd' || type === 'momentum';
  if (momentum !== undefined && !isDescent) {
    throw usageFailure(`--momentum: expected with --optimizer sgd or momentum, got ${type}`);
  }
  if (nesterov && (!isDescent || momentum === 0 || (type === 'sgd' && momentum === undefined))) {
    throw usageFailure('--nesterov: expected with --optimizer momentum, or sgd and a --momentum, above 0');
  }
  const schedule = scheduleOf(options.schedule ?? recipe.schedule, options.warmup, steps);
  return parseOptimizer({
    type,
    learningRate: options.lr ?? defaultLearningRates[type],
    ...(momentum === undefined ? {} : { momentum }),
    ...(nesterov ? { nesterov } : {}),
    ...(weightDecay === undefined ? {} : { weightDecay }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(clip === undefined ? {} : { clipNorm: clip }),
  });
}

function scheduleOf(type: ScheduleType, warmup: number, steps: number): Schedule | undefined {
  if (warmup >= steps) {
    throw usageFailure(`--warmup: expected fewer steps than the ${steps} of the run, got ${warmup}`);
  }
  const climb = warmup === 0 ? {} : { warmup };
  const rest = steps - warmup;
  switch (type) {
    case 'constant':
      return warmup === 0 ? undefined : { type, ...climb };
    case 'step':
      return { type, ...climb, every: Math.ceil(rest / 3), factor: 0.1 };
    case 'cosine':
      return { type, ...climb, steps: rest, minimum: 0 };
    default:
      return type satisfies never;
  }
}

/** Such as `adam, learning rate 0.001, cosine schedule, 100 steps of warm-up`. */
export function describeOptimizer(optimizer: OptimizerConfig): string {
  const { type, learningRate, schedule, clipNorm } = optimizer;
  const parts = [
    'nesterov' in optimizer && optimizer.nesterov ? `${type} (Nesterov)` : type,
    `learning rate ${learningRate}`,
  ];
  const { type: course = 'constant', warmup = 0 } = schedule ?? {};
  if (course !== 'constant') parts.push(`${course} schedule`);
  if (warmup > 0) parts.push(`${warmup} steps of warm-up`);
  if (clipNorm !== undefined) parts.push(`gradients clipped to ${clipNorm}`);
  return parts.join(', ');
}
