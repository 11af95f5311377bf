/** The contract that every optimizer fulfils: a pure rule over tensors. */
import type { Tensor } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';

/** What a rule may read: vectors [P], and scalars [] among the numbers. */
export interface RuleValues<Slot extends string, Num extends string> {
  readonly parameters: Tensor;
  /** Already the mean over the batch. */
  readonly gradient: Tensor;
  readonly slots: Readonly<Record<Slot, Tensor>>;
  readonly numbers: Readonly<Record<Num, Tensor>>;
}

/** The values after a step; the caller puts them where the old ones were. */
export interface RuleResult<Slot extends string> {
  readonly parameters: Tensor;
  readonly slots: Readonly<Record<Slot, Tensor>>;
}

export interface OptimizerRule<Config, Slot extends string = string, Num extends string = string> {
  /** Checks a config that a person or a file gave; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Names of the vectors, as long as the parameters and zero at first, that are kept from step to step. */
  readonly slots: readonly Slot[];
  /** Numbers that all elements share at `step` (counted from 1): a learning rate, a bias correction. */
  numbers(config: Config, step: number): Readonly<Record<Num, number>>;
  update(config: Config, values: RuleValues<Slot, Num>): RuleResult<Slot>;
}
