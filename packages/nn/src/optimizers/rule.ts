/** The interface of every optimizer: elementwise formulas, one for each vector that a step changes. */
import type { Formula } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';

/** Values that a formula may read. */
export interface RuleValues<Slot extends string, Scalar extends string> {
  readonly parameters: Formula;
  /** The mean over the batch, after clipping. */
  readonly gradient: Formula;
  /** By name, as listed by `slots`. */
  readonly slots: Readonly<Record<Slot, Formula>>;
  /** By name, as returned by `scalars`. */
  readonly scalars: Readonly<Record<Scalar, Formula>>;
}

/** One formula for each slot of the config, and one for the parameters. */
export type RuleResult<Slot extends string> = Readonly<Partial<Record<Slot, Formula>>> & {
  readonly parameters: Formula;
};

/** Inputs of a step's scalars, besides the config. */
export interface StepContext {
  /** Counted from 1. */
  readonly step: number;
  /** The config's learning rate times the schedule's factor. */
  readonly learningRate: number;
}

export interface OptimizerRule<Config, Slot extends string = string, Scalar extends string = string> {
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
