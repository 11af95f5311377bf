/** Resolves options and defaults to the optimizer's settings, and describes the settings in one line. */
import {
  hasSetting,
  type OptimizerConfig,
  type OptimizerType,
  optimizers,
  parseOptimizer,
  type Schedule,
  type ScheduleType,
} from '@lockstep/nn';
import { configurationError, type NamedOption, named } from '@lockstep/worker';
import { defaultSetting, optimizerTypes, type Recipe } from './defaults.ts';
import { outerLearningRate } from './diloco.ts';
import { runOptions } from './option-table.ts';
import type { OptimizerOptions, TrainOptions } from './options.ts';
import { errorMessage } from './words.ts';

/** Default learning rate of sgd and momentum: that of DiLoCo's outer step, or their own times a factor. */
type DefaultRates = { readonly scale: number } | { readonly isOuter: true };

/**
 * @param steps of the whole run, over which a schedule is spread
 * @throws ConfigurationError
 */
export function optimizerOf(
  asked: TrainOptions['optimizer'] = runOptions.optimizer.default,
  steps: number,
  recipe: Recipe,
  rates: DefaultRates = { scale: 1 },
): OptimizerConfig {
  const options: OptimizerOptions = typeof asked === 'string' ? { type: asked } : asked;
  const {
    type,
    learningRate,
    momentum,
    nesterov: askedNesterov,
    weightDecay,
    schedule: course,
    warmupSteps,
    clipNorm,
    ...own
  } = options;
  if (momentum !== undefined && !hasSetting(type, 'momentum')) {
    throw configurationError`${setting('momentum')}: expected with ${setting('type', typesWith('momentum'))}, got ${type}`;
  }
  const hasMomentum = (momentum ?? defaultSetting(type, 'momentum')) > 0;
  if (askedNesterov && !(hasSetting(type, 'nesterov') && hasMomentum)) {
    throw configurationError`${setting('nesterov')}: expected with ${setting('type', typesWith('nesterov'))} and a momentum above 0`;
  }
  const nesterov = askedNesterov ?? ('isOuter' in rates && type === 'momentum' && hasMomentum);
  const schedule = scheduleOf(course ?? recipe.schedule, warmupSteps ?? runOptions.warmup.default, steps);
  return parsed({
    ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
    type,
    learningRate: learningRate ?? defaultLearningRate(type, rates),
    ...(momentum === undefined ? {} : { momentum }),
    ...(nesterov ? { nesterov } : {}),
    ...(weightDecay === undefined ? {} : { weightDecay }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(clipNorm === undefined ? {} : { clipNorm }),
  });
}

/** The learning rate sets the step length of adaptive rules, whatever the batch. */
function defaultLearningRate(type: OptimizerType, rates: DefaultRates): number {
  const rate = optimizers[type].defaultLearningRate;
  if (type !== 'sgd' && type !== 'momentum') return rate;
  return 'isOuter' in rates ? outerLearningRate : rate * rates.scale;
}

/** @throws ConfigurationError */
function parsed(data: object): OptimizerConfig {
  try {
    return parseOptimizer(data);
  } catch (error) {
    throw configurationError`${errorMessage(error)}`;
  }
}

function setting(name: keyof OptimizerOptions, value?: string): NamedOption {
  return named(`optimizer.${name}`, value);
}

function typesWith(setting: string): string {
  const types = optimizerTypes.filter((type) => hasSetting(type, setting));
  return [types.slice(0, -1).join(', '), types.at(-1)].join(' or ');
}

function scheduleOf(type: ScheduleType | Schedule, warmup: number, steps: number): Schedule | undefined {
  if (typeof type === 'object') return type;
  if (warmup >= steps) {
    throw configurationError`${setting('warmupSteps')}: expected fewer steps than the ${steps} of the run, got ${warmup}`;
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

/** A description such as `adam, learning rate 0.001, cosine schedule, 100 steps of warm-up`. */
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
