/** Defaults that depend on the model, the optimizer or the data, and their texts for help. */
import type { TextOptions } from '@lockstep/data/readers';
import {
  defaultOptimizer,
  embeddingOf,
  type OptimizerType,
  optimizers,
  parseModel,
  resolveModel,
  type ScheduleType,
} from '@lockstep/nn';
import type { TrainingData, TrainOptions } from './options.ts';
import type { DiLoCoConfig } from './record/report.ts';

/** The default model, for help. */
export const defaultModelText = 'mlp, cnn for files of pictures, gpt for texts, or names for lines of text';

/** Windows of `cnn` need this many rows and columns. */
const leastSide = 4;

/**
 * The built-in model of a run without a model: convolutional for files of pictures, a transformer for texts. IDX files
 * keep `mlp`.
 */
export function defaultModel(data?: Pick<TrainingData, 'train' | 'reading'>): string {
  const targets = data?.train.targets;
  if (targets?.role === 'next') return targets.lines ? 'names' : 'gpt';
  if (data?.reading?.type !== 'pictures') return 'mlp';
  const [height = 0, width = 0] = data.train.samples.shape;
  return Math.min(height, width) >= leastSide ? 'cnn' : 'mlp';
}

/** How a model of text reads it; undefined for any other model, and for a model that is refused later. */
export function textFor(model: TrainOptions['model']): TextOptions['model'] {
  if (model === undefined) return undefined;
  try {
    const parsed = typeof model === 'string' ? resolveModel(model) : parseModel(model);
    if (!embeddingOf(parsed)) return undefined;
    return parsed.name === 'names' ? { lines: true } : { context: parsed.input[0]! };
  } catch {
    return undefined;
  }
}

export const optimizerTypes = Object.keys(optimizers) as OptimizerType[];

export interface Recipe {
  readonly batch: number;
  readonly schedule: ScheduleType;
}

/** The recipe of a model without its own. */
const commonRecipe: Recipe = { batch: 128, schedule: 'constant' };

/** Settings tuned for the built-in models on MNIST. */
export const recipes: Readonly<Record<string, Recipe>> = {
  // Reaches 98.5 % in three epochs from every seed tried; with a constant rate, one seed in three falls short.
  cnn: { batch: 64, schedule: 'cosine' },
  'cnn-large': { batch: 64, schedule: 'cosine' },
};

export function recipeOf(model: string): Recipe {
  return recipes[model] ?? commonRecipe;
}

/** Such as `128, or 64 for cnn and cnn-large`. */
export function recipeDefaults(setting: keyof Recipe): string {
  const models = Object.keys(recipes);
  const values = [...new Set(models.map((model) => recipes[model]![setting]))];
  const modelsWith = (value: number | string) => models.filter((model) => recipes[model]![setting] === value);
  const others = values.map((value) => `${value} for ${modelsWith(value).join(' and ')}`);
  return [commonRecipe[setting], ...others].join(', or ');
}

/** Such as `0, or 0.9 for momentum`, over the optimizers that have the setting. */
export function defaultsOfSetting(setting: 'momentum' | 'weightDecay'): string {
  const others = optimizerTypes
    .map((type) => ({ type, value: defaultSetting(type, setting) }))
    .filter(({ value }) => value !== 0);
  return ['0', ...others.map(({ type, value }) => `${value} for ${type}`)].join(', or ');
}

/** Such as `0.05 for momentum, 0.002 for adam and adamw`. */
export function defaultLearningRates(): string {
  const rateOf = (type: OptimizerType): number => optimizers[type].defaultLearningRate;
  const textOf = (rate: number): string => {
    const types = optimizerTypes.filter((type) => rateOf(type) === rate);
    return `${rate} for ${types.length === 1 ? types[0] : `${types.slice(0, -1).join(', ')} and ${types.at(-1)}`}`;
  };
  return [...new Set(optimizerTypes.map(rateOf))].map(textOf).join(', ');
}

/** The default of a setting that is 0 in most optimizers. */
export function defaultSetting(type: OptimizerType, setting: 'momentum' | 'weightDecay'): number {
  const config: { readonly momentum?: number; readonly weightDecay?: number } = defaultOptimizer(type);
  return config[setting] ?? 0;
}

/** An epoch of fewer steps is too short to learn from; smaller batches cost more time than they save. */
const [leastStepsPerEpoch, leastBatch] = [8, 16];
const [leastEpochs, leastSteps] = [5, 500];

/** The default number of epochs, for help. */
export const defaultEpochsText = `${leastEpochs}, or as many as give ${leastSteps} steps`;

/**
 * The recipe's batch, halved until an epoch has 8 steps, though not below 16; at most the whole set.
 * @param samples of the training set
 */
export function defaultBatch(samples: number, recipeBatch: number): number {
  let batch = recipeBatch;
  while (batch > leastBatch && Math.ceil(samples / batch) < leastStepsPerEpoch) batch /= 2;
  return Math.min(batch, samples);
}

/** With momentum on MNIST, larger factors lose accuracy. */
const mostScale = 8;

/**
 * Factor of SGD's default learning rate if the batch differs from the recipe's: the linear scaling rule of Goyal et
 * al., https://arxiv.org/abs/1706.02677, up to 8.
 */
export function learningRateScale(batch: number, recipeBatch: number): number {
  return Math.min(mostScale, Math.max(batch, leastBatch) / recipeBatch);
}

/** 5, or enough for 500 steps; if steps are requested, enough for those. */
export function defaultEpochs(stepsPerEpoch: number, askedSteps?: number): number {
  if (askedSteps !== undefined) return Math.ceil(askedSteps / stepsPerEpoch);
  return Math.max(leastEpochs, Math.ceil(leastSteps / stepsPerEpoch));
}

/** Settings of DiLoCo with which 784-128-10 reaches the accuracy of synchronous steps. */
export const dilocoDefaults: DiLoCoConfig = {
  replicas: 8,
  innerSteps: 50,
  batch: 16,
  learningRate: 0.02,
  momentum: 0.9,
};

/** The learning rate of DiLoCo's outer step, for sgd and momentum. */
export const outerLearningRate = 0.7;
