/** The contract that every optimizer fulfils: elementwise formulas, one for each vector that a step changes. */
import type { Formula } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';

/** What a formula may read. */
export interface RuleValues<Slot extends string, Scalar extends string> {
  readonly parameters: Formula;
  /** The mean over the batch, clipped. */
  readonly gradient: Formula;
  /** By name, of those that `slots` lists. */
  readonly slots: Readonly<Record<Slot, Formula>>;
  /** By name, of those that `scalars` gives. */
  readonly scalars: Readonly<Record<Scalar, Formula>>;
}

/** A formula for each slot of the config, and one for the parameters. */
export type RuleResult<Slot extends string> = Readonly<Partial<Record<Slot, Formula>>> & {
  readonly parameters: Formula;
};

/** What the scalars of a step depend on besides the config. */
export interface StepContext {
  /** Counted from 1. */
  readonly step: number;
  /** What the schedule makes of the config's learning rate. */
  readonly learningRate: number;
}

export interface OptimizerRule<Config, Slot extends string = string, Scalar extends string = string> {
  /** Checks a config that a person or a file gave; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** With which the built-in models train well on MNIST; the default of the command line. */
  readonly defaultLearningRate: number;
  /** Names of the vectors, as long as the parameters and zero at first, that a step leaves to the next one. */
  slots(config: Config): readonly Slot[];
  /** Float32 numbers that all elements share in a step: a learning rate, a bias correction. */
  scalars(config: Config, context: StepContext): Readonly<Record<Scalar, number>>;
  /**
   * The new value of each slot, in the order of `slots`, and of `parameters`, last. Each vector is replaced before the
   * next formula is evaluated: a later one reads the new values.
   */
  update(config: Config, values: RuleValues<Slot, Scalar>): RuleResult<Slot>;
}
