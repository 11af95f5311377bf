/** Options and their defaults as the optimizer's settings, and the settings as a line for people. */
import { usageFailure } from '@lockstep/command';
import {
  hasSetting,
  type OptimizerConfig,
  optimizers,
  parseOptimizer,
  type Schedule,
  type ScheduleType,
} from '@lockstep/nn';
import { defaultSetting, optimizerTypes } from './optimizer-defaults.ts';
import type { CoordinatorOptions } from './options.ts';
import type { Recipe } from './recipes.ts';

/**
 * @param steps of the whole run, over which a schedule is spread
 * @throws CommandFailure with exit code 2
 */
export function optimizerOf(options: CoordinatorOptions, steps: number, recipe: Recipe): OptimizerConfig {
  const { optimizer: type, momentum, nesterov, clip, 'weight-decay': weightDecay } = options;
  if (momentum !== undefined && !hasSetting(type, 'momentum')) {
    throw usageFailure(`--momentum: expected with --optimizer ${typesWith('momentum')}, got ${type}`);
  }
  const hasMomentum = (momentum ?? defaultSetting(type, 'momentum')) > 0;
  if (nesterov && !(hasSetting(type, 'nesterov') && hasMomentum)) {
    throw usageFailure(`--nesterov: expected with --optimizer ${typesWith('nesterov')} and a momentum above 0`);
  }
  const schedule = scheduleOf(options.schedule ?? recipe.schedule, options.warmup, steps);
  return parseOptimizer({
    type,
    learningRate: options.lr ?? optimizers[type].defaultLearningRate,
    ...(momentum === undefined ? {} : { momentum }),
    ...(nesterov ? { nesterov } : {}),
    ...(weightDecay === undefined ? {} : { weightDecay }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(clip === undefined ? {} : { clipNorm: clip }),
  });
}

function typesWith(setting: string): string {
  const types = optimizerTypes.filter((type) => hasSetting(type, setting));
  return [types.slice(0, -1).join(', '), types.at(-1)].join(' or ');
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
