/** The table of optimizers: adding an optimizer takes a file next to this one and an entry here. */
import * as v from 'valibot';
import { check } from '../check.ts';
import { scheduleFactor } from '../schedules.ts';
import { adam } from './adam.ts';
import { adamw } from './adamw.ts';
import { momentum } from './momentum.ts';
import { rmsprop } from './rmsprop.ts';
import type { OptimizerRule } from './rule.ts';
import { sgd } from './sgd.ts';

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
  return parseOptimizer({ type, learningRate: optimizers[type].defaultLearningRate });
}

/** Whether the optimizer of that name has a setting, such as `momentum`. */
export function hasSetting(type: OptimizerType, setting: string): boolean {
  return Object.hasOwn(optimizers[type].schema.entries, setting);
}

/** Returns the learning rate at `step`, counted from 0 over the whole run. */
export function learningRateAt({ learningRate, schedule }: OptimizerConfig, step: number): number {
  return schedule === undefined ? learningRate : learningRate * scheduleFactor(schedule, step);
}

/** Returns the rule of `config`. Call its methods only with the same config. */
export function optimizerRule(config: OptimizerConfig): OptimizerRule<OptimizerConfig> {
  return optimizers[config.type] as OptimizerRule<OptimizerConfig>;
}
