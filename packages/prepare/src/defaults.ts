/** Defaults that depend on the model, the optimizer or the data, and their texts for help. */
import type { TargetField } from '@lockstep/data';
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
import type { DiLoCoConfig } from '@lockstep/record';
import type { OptimizerOptions, TrainingData, TrainOptions } from './options.ts';

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

/** A model's defaults. */
export interface Recipe {
  readonly batch: number;
  readonly schedule: ScheduleType;
  /** Smallest default size of a microbatch; omitted for that of single rows. */
  readonly leastMicrobatch?: number;
  /** Least number of epochs and of steps of a run by default. */
  readonly least: { readonly epochs: number; readonly steps: number };
  /** Last learning rate of a cosine, as a fraction of the first; 0 by default. */
  readonly minimum?: number;
  /** The default optimizer; its settings are not those of another type. */
  readonly optimizer: OptimizerOptions & { readonly type: OptimizerType };
}

/** The recipe of a model without its own. */
const commonRecipe: Recipe = {
  batch: 128,
  schedule: 'constant',
  least: { epochs: 5, steps: 500 },
  optimizer: { type: 'momentum' },
};

/** Reaches 98.5 % on MNIST in three epochs from every seed tried; with a constant rate, one seed in three falls short. */
const convolutionalRecipe: Recipe = { ...commonRecipe, batch: 64, schedule: 'cosine' };

/** Settings of nanoGPT for its small models. */
const transformerRecipe: Recipe = {
  batch: 12,
  schedule: 'cosine',
  minimum: 0.1,
  least: { epochs: 1, steps: 2_000 },
  optimizer: { type: 'adamw', learningRate: 1e-3, beta2: 0.99, weightDecay: 0.1, clipNorm: 1, warmupSteps: 100 },
};

/** With plain gradients, rare words would hardly learn. */
const tableTextRecipe: Recipe = { ...commonRecipe, optimizer: { type: 'adam' } };

/** Settings tuned for the built-in models. */
export const recipes: Readonly<Record<string, Recipe>> = {
  cnn: convolutionalRecipe,
  'cnn-large': convolutionalRecipe,
  gpt: transformerRecipe,
  'gpt-nano': transformerRecipe,
  names: { ...transformerRecipe, batch: 32 },
};

/** Recipes of models of tokens without their own, as help names them. */
const tokenRecipes = { 'other models of text': transformerRecipe, 'texts of a table': tableTextRecipe } as const;

/** @param targets role of the targets if samples are tokens; otherwise omitted */
export function recipeOf(model: string, targets?: TargetField['role']): Recipe {
  const own = recipes[model];
  // A sample of a text is a sequence, whose gradient is worth its own microbatch.
  if (targets === 'next') return { ...(own ?? transformerRecipe), leastMicrobatch: 1 };
  return own ?? (targets === undefined ? commonRecipe : tableTextRecipe);
}

/** Such as `128, or 64 for cnn and cnn-large`. */
export function recipeDefaults(setting: 'batch' | 'schedule'): string {
  return [commonRecipe[setting], ...recipeValues((recipe) => recipe[setting])].join(', or ');
}

/** Such as `momentum, or adamw for gpt and names`, after the default of other models. */
export function optimizerDefaults(setting: keyof OptimizerOptions, common: string): string {
  return [common, ...recipeValues(({ optimizer }) => optimizer[setting])].join(', or ');
}

/** Such as `64 for cnn and cnn-large`, for the values other than the common recipe's. */
function recipeValues(read: (recipe: Recipe) => unknown): string[] {
  const all: Readonly<Record<string, Recipe>> = { ...recipes, ...tokenRecipes };
  const models = Object.keys(all).filter((model) => read(all[model]!) !== read(commonRecipe));
  return valuesFor(models, (model) => read(all[model]!));
}

/** Such as `64 for cnn and cnn-large` for each value, in the order of the names. */
function valuesFor<Name extends string>(names: readonly Name[], read: (name: Name) => unknown): string[] {
  return [...new Set(names.map(read))].map((value) => {
    const same = names.filter((name) => read(name) === value);
    return `${value} for ${same.length === 1 ? same[0] : `${same.slice(0, -1).join(', ')} and ${same.at(-1)}`}`;
  });
}

/** Such as `0, or 0.9 for momentum`, over the optimizers that have the setting. */
export function defaultsOfSetting(setting: 'momentum' | 'weightDecay'): string {
  const others = optimizerTypes.filter((type) => defaultSetting(type, setting) !== 0);
  return ['0', ...valuesFor(others, (type) => defaultSetting(type, setting))].join(', or ');
}

/** Such as `0.05 for momentum, 0.002 for adam and adamw`. */
export function defaultLearningRates(): string {
  return valuesFor(optimizerTypes, (type) => optimizers[type].defaultLearningRate).join(', ');
}

/** The default of a setting that is 0 in most optimizers. */
export function defaultSetting(type: OptimizerType, setting: 'momentum' | 'weightDecay'): number {
  const config: { readonly momentum?: number; readonly weightDecay?: number } = defaultOptimizer(type);
  return config[setting] ?? 0;
}

/** An epoch of fewer steps is too short to learn from; smaller batches cost more time than they save. */
const [leastStepsPerEpoch, leastBatch] = [8, 16];

/** The default number of epochs, for help. */
export const defaultEpochsText = [commonRecipe, transformerRecipe]
  .map(({ least: { epochs, steps } }) => `${epochs}, or as many as give ${steps} steps`)
  .join('; for transformers ');

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

/** The recipe's epochs, or enough for its steps; if steps are requested, enough for those. */
export function defaultEpochs(stepsPerEpoch: number, askedSteps?: number, { least } = commonRecipe): number {
  if (askedSteps !== undefined) return Math.ceil(askedSteps / stepsPerEpoch);
  return Math.max(least.epochs, Math.ceil(least.steps / stepsPerEpoch));
}

/** Optimizer steps from one text that a model writes to the next. */
export const defaultSampleSteps = 250;

/** Settings of DiLoCo with which 784-128-10 reaches the accuracy of synchronous steps. */
export const dilocoDefaults: DiLoCoConfig = {
  replicas: 8,
  innerSteps: 50,
  batch: 16,
  learningRate: 0.02,
  momentum: 0.9,
};

/** The default optimizer of DiLoCo's outer step. */
export const outerOptimizer = { type: 'momentum' } as const;

/** The learning rate of DiLoCo's outer step, for sgd and momentum. */
export const outerLearningRate = 0.7;
