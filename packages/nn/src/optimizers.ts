/** The optimizers: their settings as data, and their update rules. */

import { shownValue } from '@lockstep/data/shown';
import { apply, constant, type Formula } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';
import * as v from 'valibot';
import { check, fractionBelowOne, nonNegative, positive } from './check.ts';

import { power, scheduleFactor, scheduleSchema } from './schedules.ts';

/** Settings of every optimizer. */
const commonSettings = {
  learningRate: positive,
  /** How the learning rate changes from step to step; constant by default. */
  schedule: v.exactOptional(scheduleSchema),
  /** Maximum norm of the gradient over all parameters; a larger gradient is scaled down to it. */
  clipNorm: v.exactOptional(positive),
};

/** L2 weight decay, as in `torch.optim.SGD`, `Adam` and `RMSprop`; 0 by default. */
const weightDecaySetting = v.exactOptional(nonNegative);

/** `gradient + weightDecay * parameters`, the gradient of `loss + weightDecay / 2 * |parameters|^2`. */
function withWeightDecay(gradient: Formula, parameters: Formula, weightDecay: number): Formula {
  return weightDecay === 0 ? gradient : apply('add', gradient, apply('mul', parameters, constant(weightDecay)));
}

/** Values that a formula may read. */
interface RuleValues<Slot extends string, Scalar extends string> {
  readonly parameters: Formula;
  /** The mean over the batch, after clipping. */
  readonly gradient: Formula;
  /** By name, as listed by `slots`. */
  readonly slots: Readonly<Record<Slot, Formula>>;
  /** By name, as returned by `scalars`. */
  readonly scalars: Readonly<Record<Scalar, Formula>>;
}

/** One formula for each slot of the config, and one for the parameters. */
type RuleResult<Slot extends string> = Readonly<Partial<Record<Slot, Formula>>> & {
  readonly parameters: Formula;
};

/** Inputs of a step's scalars, besides the config. */
interface StepContext {
  /** Counted from 1. */
  readonly step: number;
  /** The config's learning rate times the schedule's factor. */
  readonly learningRate: number;
}

interface OptimizerRule<Config, Slot extends string = string, Scalar extends string = string> {
  /** Checks a config that comes from a person or a file; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Default learning rate of the command line, tuned on MNIST with the built-in models. */
  readonly defaultLearningRate: number;
  /** Names of the vectors that carry state between steps: as long as the parameters, and initially zero. */
  slots(config: Config): readonly Slot[];
  /** Float32 numbers that all elements share in a step: a learning rate, a bias correction. */
  scalars(config: Config, context: StepContext): Readonly<Record<Scalar, number>>;
  /**
   * Returns the new value of each slot, in the order of `slots`, and of `parameters`, last. Each vector is replaced
   * before the next formula is evaluated, so later formulas read the new values.
   */
  update(config: Config, values: RuleValues<Slot, Scalar>): RuleResult<Slot>;
}

interface SgdConfig {
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

type SgdScalar = 'learningRate' | 'freshFraction';

/** All settings except the momentum, whose default depends on the name of the optimizer. */
const sgdSettings = {
  ...commonSettings,
  dampening: v.exactOptional(fractionBelowOne),
  nesterov: v.exactOptional(v.boolean('expected true or false')),
  weightDecay: weightDecaySetting,
};

/** Same check as in PyTorch: "Nesterov momentum requires a momentum and zero dampening". */
function nesterovCheck<Config extends SgdConfig>() {
  return v.check<Config, string>(
    ({ momentum = 0, dampening = 0, nesterov = false }) => !nesterov || (momentum > 0 && dampening === 0),
    'expected nesterov only with a momentum above 0 and without dampening',
  );
}

const sgdRule = {
  slots: ({ momentum = 0 }) => (momentum > 0 ? (['buffer'] as const) : []),
  scalars({ dampening = 0 }, { step, learningRate }) {
    // PyTorch does not dampen the first gradient: the buffer starts at zeros, so the first buffer must be g itself.
    return { learningRate, freshFraction: step === 1 ? 1 : 1 - dampening };
  },
  update({ momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }, values) {
    const { parameters, slots, scalars } = values;
    const gradient = withWeightDecay(values.gradient, parameters, weightDecay);
    const stepAlong = (direction: Formula): Formula =>
      apply('sub', parameters, apply('mul', scalars.learningRate, direction));
    if (momentum === 0) return { parameters: stepAlong(gradient) };
    const fresh = dampening > 0 ? apply('mul', gradient, scalars.freshFraction) : gradient;
    const decayed = apply('mul', slots.buffer, constant(momentum));
    return {
      buffer: apply('add', decayed, fresh),
      parameters: stepAlong(nesterov ? apply('add', gradient, decayed) : slots.buffer),
    };
  },
} satisfies Omit<OptimizerRule<SgdConfig, 'buffer', SgdScalar>, 'schema' | 'defaultLearningRate'>;

const sgdSchema = v.pipe(
  v.strictObject({ type: v.literal('sgd'), ...sgdSettings, momentum: v.exactOptional(fractionBelowOne) }),
  nesterovCheck(),
);

const sgd = {
  ...sgdRule,
  schema: sgdSchema,
  defaultLearningRate: 0.1,
} satisfies OptimizerRule<v.InferOutput<typeof sgdSchema>, 'buffer', SgdScalar>;

const momentumSchema = v.pipe(
  v.strictObject({ type: v.literal('momentum'), ...sgdSettings, momentum: v.optional(fractionBelowOne, 0.9) }),
  nesterovCheck(),
);

const momentum = {
  ...sgdRule,
  schema: momentumSchema,
  defaultLearningRate: 0.05,
} satisfies OptimizerRule<v.InferOutput<typeof momentumSchema>, 'buffer', SgdScalar>;

const rmspropSchema = v.strictObject({
  type: v.literal('rmsprop'),
  ...commonSettings,
  alpha: v.optional(fractionBelowOne, 0.99),
  epsilon: v.optional(nonNegative, 1e-8),
  /** 0 by default. */
  momentum: v.exactOptional(fractionBelowOne),
  weightDecay: weightDecaySetting,
});

const rmsprop = {
  schema: rmspropSchema,
  defaultLearningRate: 0.002,
  slots: ({ momentum = 0 }) => (momentum > 0 ? (['squareAverage', 'buffer'] as const) : (['squareAverage'] as const)),
  scalars: (_, { learningRate }) => ({ learningRate }),
  update({ alpha, epsilon, momentum = 0, weightDecay = 0 }, { parameters, slots, scalars, ...values }) {
    const gradient = withWeightDecay(values.gradient, parameters, weightDecay);
    const square = apply('mul', apply('mul', gradient, constant(1 - alpha)), gradient);
    const squareAverage = apply('add', apply('mul', slots.squareAverage, constant(alpha)), square);
    const scaled = apply('div', gradient, apply('add', apply('sqrt', slots.squareAverage), constant(epsilon)));
    if (momentum === 0) {
      return { squareAverage, parameters: apply('sub', parameters, apply('mul', scalars.learningRate, scaled)) };
    }
    return {
      squareAverage,
      buffer: apply('add', apply('mul', slots.buffer, constant(momentum)), scaled),
      parameters: apply('sub', parameters, apply('mul', scalars.learningRate, slots.buffer)),
    };
  },
} satisfies OptimizerRule<v.InferOutput<typeof rmspropSchema>, 'squareAverage' | 'buffer', 'learningRate'>;

interface AdamConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

type AdamSlot = 'firstMoment' | 'secondMoment';

type AdamScalar = 'stepSize' | 'secondCorrection';

/** All settings except the weight decay, in which Adam and AdamW differ. */
const adamSettings = {
  ...commonSettings,
  beta1: v.optional(fractionBelowOne, 0.9),
  beta2: v.optional(fractionBelowOne, 0.999),
  epsilon: v.optional(nonNegative, 1e-8),
};

const adamRule = {
  slots: () => ['firstMoment', 'secondMoment'] as const,
  scalars: ({ beta1, beta2 }, { step, learningRate }) => ({
    stepSize: learningRate / (1 - power(beta1, step)),
    secondCorrection: Math.sqrt(1 - power(beta2, step)),
  }),
} satisfies Pick<OptimizerRule<AdamConfig, AdamSlot, AdamScalar>, 'slots' | 'scalars'>;

/** Returns the formulas of a step that starts from `values.parameters`. */
function adamUpdate(
  { beta1, beta2, epsilon }: AdamConfig,
  { parameters, gradient, slots, scalars }: RuleValues<AdamSlot, AdamScalar>,
): RuleResult<AdamSlot> {
  const { firstMoment, secondMoment } = slots;
  const square: Formula = apply('mul', apply('mul', gradient, constant(1 - beta2)), gradient);
  const rootMeanSquare = apply('div', apply('sqrt', secondMoment), scalars.secondCorrection);
  const stride = apply('mul', scalars.stepSize, firstMoment);
  return {
    firstMoment: apply('add', firstMoment, apply('mul', apply('sub', gradient, firstMoment), constant(1 - beta1))),
    secondMoment: apply('add', apply('mul', secondMoment, constant(beta2)), square),
    parameters: apply('sub', parameters, apply('div', stride, apply('add', rootMeanSquare, constant(epsilon)))),
  };
}

const adamSchema = v.strictObject({ type: v.literal('adam'), ...adamSettings, weightDecay: weightDecaySetting });

const adam = {
  ...adamRule,
  schema: adamSchema,
  defaultLearningRate: 0.002,
  update(config, values) {
    const gradient = withWeightDecay(values.gradient, values.parameters, config.weightDecay ?? 0);
    return adamUpdate(config, { ...values, gradient });
  },
} satisfies OptimizerRule<v.InferOutput<typeof adamSchema>, AdamSlot, AdamScalar>;

const adamwSchema = v.strictObject({
  type: v.literal('adamw'),
  ...adamSettings,
  weightDecay: v.optional(nonNegative, 0.01),
});

const adamw = {
  schema: adamwSchema,
  defaultLearningRate: 0.002,
  slots: adamRule.slots,
  scalars: (config, context) => ({
    ...adamRule.scalars(config, context),
    shrinkage: 1 - context.learningRate * config.weightDecay,
  }),
  update(config, { parameters, ...values }) {
    const shrunk = config.weightDecay === 0 ? parameters : apply('mul', parameters, values.scalars.shrinkage);
    return adamUpdate(config, { ...values, parameters: shrunk });
  },
} satisfies OptimizerRule<v.InferOutput<typeof adamwSchema>, AdamSlot, AdamScalar | 'shrinkage'>;

/** The table of optimizers, by type. */
export const optimizers = { sgd, momentum, adam, adamw, rmsprop };

const optimizerSchema = v.variant(
  'type',
  Object.values(optimizers).map(({ schema }) => schema),
);

/** An optimizer and its settings, as plain data. */
export type OptimizerConfig = v.InferOutput<typeof optimizerSchema>;

/** The name of an optimizer. */
export type OptimizerType = OptimizerConfig['type'];

/** Checks plain data and fills in omitted settings; throws one sentence that names a wrong setting. */
export function parseOptimizer(data: unknown): OptimizerConfig {
  return check('optimizer', optimizerSchema, data);
}

/** Returns the optimizer of that name with its default settings. */
export function defaultOptimizer(type: OptimizerType): OptimizerConfig {
  return parseOptimizer({ type, learningRate: named(type).defaultLearningRate });
}

/** Whether the optimizer of that name has a setting, such as `momentum`. */
export function hasSetting(type: OptimizerType, setting: string): boolean {
  return Object.hasOwn(named(type).schema.entries, setting);
}

/** Returns the learning rate at `step`, counted from 0 over the whole run. */
export function learningRateAt(config: OptimizerConfig, step: number): number {
  named(config?.type);
  const { learningRate, schedule } = config;
  return schedule === undefined ? learningRate : learningRate * scheduleFactor(schedule, step);
}

/** Returns the rule of `config`. Call its methods only with the same config. */
export function optimizerRule(config: OptimizerConfig): OptimizerRule<OptimizerConfig> {
  return named(config?.type) as OptimizerRule<OptimizerConfig>;
}

function named<Type extends OptimizerType>(type: Type): (typeof optimizers)[Type] {
  if (Object.hasOwn(optimizers, type)) return optimizers[type];
  throw new Error(`optimizer: expected one of ${Object.keys(optimizers).join(', ')}, got ${shownValue(type)}`);
}
