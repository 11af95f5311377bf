/** Holds a run's parameters: adds a step's gradients, applies the optimizer to their mean, and provides the weights. */
import { createOptimizer, type Optimizer, type OptimizerConfig, type OptimizerState } from '@lockstep/nn';
import { type RunPlan, stepBatch, stepDivisor } from '@lockstep/rules';
import { Parameters, type ParametersOptions } from './parameters.ts';

/** Result of one step, measured on its batch with the weights before the step. */
export interface StepResult {
  readonly step: number;
  readonly epoch: number;
  /** Samples in the batch. */
  readonly count: number;
  /** Mean over the batch. */
  readonly loss: number;
  /** Samples of the batch that were classified correctly. */
  readonly correct: number;
}

interface ParameterServerOptions extends ParametersOptions {
  readonly optimizer: OptimizerConfig;
  readonly optimizerState?: OptimizerState;
  /** First step to take; 0 by default. */
  readonly firstStep?: number;
}

export class ParameterServer extends Parameters {
  readonly #plan: RunPlan;
  readonly #optimizer: Optimizer;

  constructor({ optimizer, optimizerState, firstStep = 0, ...options }: ParameterServerOptions) {
    super(options);
    this.#plan = options.plan;
    this.#optimizer = createOptimizer(options.backend, optimizer, this.parameters);
    if (optimizerState) this.#optimizer.restore(optimizerState);
    this.beginStep(firstStep);
  }

  /** Takes an optimizer step with the sum of all gradients. @throws Error if a shard is missing */
  step(step: number): StepResult {
    if (!this.aggregator.complete) throw new Error(`step ${step}: expected every shard's gradient, some are missing`);
    const { epoch, count } = stepBatch(this.#plan, step);
    const { lossSum, correct } = this.aggregator.figures();
    this.changing();
    this.#optimizer.step(stepDivisor(this.#plan, step), this.aggregator.gradient);
    this.beginStep(step + 1);
    return { step, epoch, count, loss: lossSum / count, correct };
  }

  /** Returns everything besides the parameters that the next step depends on. */
  optimizerState(): OptimizerState {
    return this.#optimizer.state();
  }

  override dispose(): void {
    this.#optimizer.dispose();
    super.dispose();
  }
}
