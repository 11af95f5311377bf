/** The steps of a run and its optimizer: from the options, or else from the data, the model and the workers. */

import { errorMessage } from '@lockstep/data/shown';
import {
  hasSetting,
  type OptimizerConfig,
  optimizers,
  parseOptimizer,
  type Schedule,
  type ScheduleType,
} from '@lockstep/nn';
import type { RunMessage } from '@lockstep/protocol';
import type { DiLoCoConfig } from '@lockstep/record';
import { batchForWorkers, microbatchSizeFor, planRun, type RunPlan } from '@lockstep/rules';
import { configurationError, type NamedOption, optionName } from '@lockstep/worker';
import {
  defaultBatch,
  defaultEpochs,
  defaultSetting,
  dilocoDefaults,
  learningRateScale,
  optimizerTypes,
  outerLearningRate,
  outerOptimizer,
  type Recipe,
} from './defaults.ts';
import type { OptimizerOptions, TrainOptions } from './options.ts';

/** Settings of a batch that is chosen at the start of the run, for the workers that have joined by then. */
type PlanAtStart = NonNullable<RunMessage['planAtStart']>;

/** The steps of a run. */
export interface PlannedRun {
  readonly plan: RunPlan;
  /** Set if the plan is made again when the run is started. */
  readonly planAtStart: PlanAtStart | undefined;
  readonly diloco: DiLoCoConfig | undefined;
  readonly optimizer: OptimizerConfig;
  /** Whether workers that are too slow for a share take turns. */
  readonly allTakePart: boolean;
}

/**
 * @param frozen number of leading parameters that keep their values
 * @throws ConfigurationError if batch, microbatch, workers, optimizer and data do not fit together
 */
export function planOf(options: TrainOptions, samples: number, recipe: Recipe, frozen = 0): PlannedRun {
  const { batch, epochs, steps, gradients, optimizer: asked } = options;
  const diloco = dilocoOf(options);
  if (diloco) requireSynchronous(options);
  const planAtStart = diloco ? undefined : planAtStartOf(options, samples, recipe);
  const workers = diloco || planAtStart ? undefined : expectedWorkers(options);
  const size = diloco ? roundOf(diloco, samples, frozen) : batchOf(options, samples, recipe, workers);
  const stepsPerEpoch = Math.ceil(samples / size.batch);
  // As many epochs as if each inner step were a step.
  const innerSteps = diloco && steps === undefined ? diloco.innerSteps : 1;
  const plan = planRun({
    ...{ samples, ...size, steps },
    epochs: epochs ?? defaultEpochs(stepsPerEpoch * innerSteps, steps, recipe),
    roundsToHalves: gradients === 'fp16-exact',
    leastMicrobatch: recipe.leastMicrobatch,
  });
  const scale = typeof batch === 'number' ? 1 : learningRateScale(plan.batch, recipe.batch);
  const optimizer = optimizerConfigOf(asked, plan.steps, recipe, diloco ? { isOuter: true } : { scale });
  return { plan, planAtStart, diloco, optimizer, allTakePart: workers !== undefined };
}

/** Set if the batch is chosen for the workers that have joined when the run is started. @throws ConfigurationError */
function planAtStartOf(options: TrainOptions, samples: number, recipe: Recipe): PlanAtStart | undefined {
  const { batch, expect, listen, checkpoint, microbatch } = options;
  const waitsForStart = typeof listen === 'object' && listen.waitForStart === true;
  if (batch !== 'auto' || expect !== undefined || !waitsForStart) return undefined;
  if (typeof checkpoint === 'object' && (checkpoint.resume || checkpoint.store)) {
    throw configurationError`${optionName('batch', 'auto')}: requires ${optionName('expect')} if the run may resume from a checkpoint, which has a batch`;
  }
  const usualBatch = defaultBatch(samples, recipe.batch);
  const { leastMicrobatch } = recipe;
  return {
    usualBatch,
    ...(microbatch !== undefined && { microbatchSize: microbatch }),
    ...(leastMicrobatch !== undefined && { leastMicrobatch }),
  };
}

/** Number of workers that the batch is chosen for, each of which takes part; undefined if it depends on none. */
function expectedWorkers({ batch, expect, workers = 0 }: TrainOptions): number | undefined {
  if (expect !== undefined || batch !== 'auto') return expect;
  if (workers > 0) return workers;
  throw configurationError`${optionName('batch', 'auto')}: requires ${optionName('expect')}, the number of workers to expect, or ${optionName('listen.waitForStart')}, to count the workers at the start`;
}

function batchOf(asked: TrainOptions, samples: number, recipe: Recipe, workers: number | undefined) {
  const { microbatch } = asked;
  const batch = typeof asked.batch === 'number' ? asked.batch : undefined;
  requireWithin('batch', batch, samples, 'of the training set');
  requireWithin('microbatch', microbatch, batch ?? samples, 'of a step');
  requireWork(workers, microbatch, batch ?? samples);
  const usualBatch = defaultBatch(samples, recipe.batch);
  const { leastMicrobatch } = recipe;
  if (batch === undefined && (workers !== undefined || microbatch !== undefined)) {
    return batchForWorkers({ samples, workers: workers ?? 1, usualBatch, microbatchSize: microbatch, leastMicrobatch });
  }
  const fixed = batch ?? usualBatch;
  if (microbatch !== undefined && fixed % microbatch !== 0) {
    throw configurationError`${optionName('microbatch')}: expected a number that divides the batch of ${fixed}, got ${microbatch}`;
  }
  const suited = workers === undefined ? undefined : microbatchSizeFor(fixed, workers, leastMicrobatch);
  const microbatchSize = microbatch ?? suited;
  return { batch: fixed, microbatchSize };
}

function requireWithin(name: keyof TrainOptions, value: number | undefined, most: number, which: string): void {
  if (value === undefined || value <= most) return;
  throw configurationError`${optionName(name)}: expected at most the ${most} samples ${which}, got ${value}`;
}

function requireWork(workers: number | undefined, microbatch: number | undefined, samples: number): void {
  if (workers === undefined || workers * (microbatch ?? 1) <= samples) return;
  const most = Math.floor(samples / (microbatch ?? 1));
  const each = microbatch === undefined ? 'one sample' : `${microbatch} samples`;
  throw configurationError`${optionName('expect')}: expected at most ${most} workers, so that each gets at least ${each} of a step's ${samples}, got ${workers}`;
}

/** Undefined unless DiLoCo is requested. */
function dilocoOf({ diloco = false, batch }: TrainOptions): DiLoCoConfig | undefined {
  if (diloco === false) return undefined;
  const asked = Object.entries(diloco === true ? {} : diloco).filter(([, value]) => value !== undefined);
  return { ...dilocoDefaults, ...(typeof batch === 'number' && { batch }), ...Object.fromEntries(asked) };
}

/** Workers share the replicas, not the samples of a batch. @throws ConfigurationError */
function requireSynchronous(asked: TrainOptions): void {
  for (const name of ['expect', 'microbatch'] as const) {
    if (asked[name] === undefined) continue;
    throw configurationError`${optionName(name)}: cannot be combined with ${optionName('diloco.replicas')}, because one worker computes each replica`;
  }
  if (asked.batch === 'auto') {
    throw configurationError`${optionName('batch')}: expected a number with ${optionName('diloco.replicas')}, got auto`;
  }
}

/**
 * A round as a step of the plan, in which each replica is a microbatch.
 * @throws ConfigurationError if the training set is smaller than a round
 */
function roundOf(
  { replicas, innerSteps, batch, learningRate, momentum }: DiLoCoConfig,
  samples: number,
  frozen: number,
) {
  const microbatchSize = innerSteps * batch;
  const round = replicas * microbatchSize;
  if (round > samples) {
    const product = `${replicas} replicas x ${innerSteps} inner steps x ${batch} samples`;
    throw configurationError`${optionName('diloco.innerSteps')}: expected a round of at most the ${samples} samples of the training set, got ${product} = ${round}`;
  }
  return { batch: round, microbatchSize, innerSteps: { batch, learningRate, momentum, ...(frozen > 0 && { frozen }) } };
}

/** Default learning rate of sgd and momentum: that of DiLoCo's outer step, or their own times a factor. */
type DefaultRates = { readonly scale: number } | { readonly isOuter: true };

/**
 * @param steps of the whole run, over which a schedule is spread
 * @throws ConfigurationError
 */
export function optimizerConfigOf(
  asked: TrainOptions['optimizer'],
  steps: number,
  recipe: Recipe,
  rates: DefaultRates = { scale: 1 },
): OptimizerConfig {
  const options: OptimizerOptions = typeof asked === 'string' ? { type: asked } : (asked ?? {});
  const isOuter = 'isOuter' in rates;
  const preferred = isOuter ? outerOptimizer : recipe.optimizer;
  const { type = preferred.type } = options;
  const usual: OptimizerOptions = type === preferred.type ? preferred : {};
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const { momentum, schedule: course, ...own }: OptimizerOptions = { ...usual, ...given };
  const warmupSteps = options.warmupSteps ?? Math.min(usual.warmupSteps ?? 0, Math.floor(steps / 10));
  if (momentum !== undefined && !hasSetting(type, 'momentum')) {
    throw configurationError`${setting('momentum')}: requires ${setting('type', typesWith('momentum'))}, got ${type}`;
  }
  const hasMomentum = (momentum ?? defaultSetting(type, 'momentum')) > 0;
  if (own.nesterov && !(hasSetting(type, 'nesterov') && hasMomentum)) {
    throw configurationError`${setting('nesterov')}: requires ${setting('type', typesWith('nesterov'))} and a momentum above 0`;
  }
  const { defaultLearningRate } = optimizers[type];
  // The learning rate sets the step length of adaptive rules, whatever the batch.
  const isAdaptive = type !== 'sgd' && type !== 'momentum';
  const rate = isAdaptive ? defaultLearningRate : isOuter ? outerLearningRate : defaultLearningRate * rates.scale;
  const settings = {
    ...own,
    type,
    learningRate: own.learningRate ?? rate,
    momentum,
    nesterov: (own.nesterov ?? (isOuter && type === 'momentum' && hasMomentum)) || undefined,
    warmupSteps: undefined,
    schedule: scheduleOf(course ?? recipe.schedule, warmupSteps, steps, recipe.minimum),
  };
  try {
    return parseOptimizer(Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)));
  } catch (error) {
    throw configurationError`${errorMessage(error)}`;
  }
}

function setting(name: keyof OptimizerOptions, value?: string): NamedOption {
  return optionName(`optimizer.${name}`, value);
}

function typesWith(setting: string): string {
  const types = optimizerTypes.filter((type) => hasSetting(type, setting));
  return [types.slice(0, -1).join(', '), types.at(-1)].join(' or ');
}

function scheduleOf(type: ScheduleType | Schedule, warmup: number, steps: number, minimum = 0): Schedule | undefined {
  if (typeof type === 'object') return type;
  if (warmup >= steps) {
    throw configurationError`${setting('warmupSteps')}: expected fewer steps than the ${steps} of the run, got ${warmup}`;
  }
  const climb = warmup === 0 ? {} : { warmup };
  switch (type) {
    case 'constant':
      return warmup === 0 ? undefined : { type, ...climb };
    case 'step':
      return { type, ...climb, every: Math.ceil((steps - warmup) / 3), factor: 0.1 };
    case 'cosine':
      return { type, ...climb, steps: steps - warmup, minimum };
    default:
      return type satisfies never;
  }
}
