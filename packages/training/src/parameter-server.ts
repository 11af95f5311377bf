/** Holds a run's parameters: adds the gradients of a step, takes the optimizer's step on their mean, gives out weights. */
import { createOptimizer, type Optimizer, type OptimizerConfig, type OptimizerState } from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { Aggregator } from './aggregator.ts';
import { type RunPlan, stepBatch, stepDivisor } from './plan.ts';

/** What one step did, measured on its batch with the weights before the step. */
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

interface ParameterServerOptions {
  readonly backend: HostBackend;
  readonly plan: RunPlan;
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  readonly optimizer: OptimizerConfig;
  readonly optimizerState?: OptimizerState;
  /** The first step to take; 0 where left out. */
  readonly firstStep?: number;
}

export class ParameterServer {
  readonly parameterCount: number;
  readonly aggregator: Aggregator;
  /** [parameters], in memory of the backend, as the next step begins with them. */
  readonly parameters: Storage;
  readonly backend: HostBackend;
  readonly #plan: RunPlan;
  readonly #optimizer: Optimizer;
  /** What `weightBytes` gives out. Not a view of the backend's memory, which may move when it grows. */
  #sent: Float32Array | undefined;

  constructor({ backend, plan, weights, optimizer, optimizerState, firstStep = 0 }: ParameterServerOptions) {
    this.backend = backend;
    this.#plan = plan;
    this.parameterCount = weights.length;
    this.parameters = backend.allocate(weights.length);
    backend.upload(this.parameters, weights);
    this.aggregator = new Aggregator(backend, plan, weights.length);
    this.#optimizer = createOptimizer(backend, optimizer, this.parameters);
    if (optimizerState) this.#optimizer.restore(optimizerState);
    this.aggregator.begin(firstStep);
  }

  /** Takes the optimizer's step with the sum of all gradients. @throws Error where a shard is missing. */
  step(step: number): StepResult {
    if (!this.aggregator.complete) throw new Error(`step ${step}: expected every shard's gradient, some are missing`);
    const { epoch, count } = stepBatch(this.#plan, step);
    const { lossSum, correct } = this.aggregator.figures();
    this.#optimizer.step(stepDivisor(this.#plan, step), this.aggregator.gradient);
    this.aggregator.begin(step + 1);
    return { step, epoch, count, loss: lossSum / count, correct };
  }

  /** A copy of the parameters. */
  weights(): Float32Array<ArrayBuffer> {
    return this.backend.view(this.parameters).slice() as Float32Array<ArrayBuffer>;
  }

  /** The parameters as little-endian bytes, in memory that the next call overwrites. */
  weightBytes(): Uint8Array {
    this.#sent ??= new Float32Array(this.parameterCount);
    this.#sent.set(this.backend.view(this.parameters));
    return new Uint8Array(this.#sent.buffer);
  }

  optimizerState(): OptimizerState {
    return this.#optimizer.state();
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.aggregator.dispose();
    this.backend.free(this.parameters);
  }
}
