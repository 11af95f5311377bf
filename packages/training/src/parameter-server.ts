/** Holds a run's parameters: adds the gradients of a step, takes the optimizer's step on their mean, gives out weights. */
import { createOptimizer, type Optimizer, type OptimizerConfig, type OptimizerState } from '@lockstep/nn';
import { type HostBackend, type Storage, vectorsOf } from '@lockstep/tensor';
import { Aggregator } from './aggregator.ts';
import { nextExponents, unitsOf } from './level-units.ts';
import { firstRounding, type NodeRounding } from './node-rounding.ts';
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

/** Beside the vectors of the optimizer, in the state that a checkpoint holds. */
const exponentsSlot = 'gradientExponents';

export class ParameterServer {
  readonly parameterCount: number;
  readonly aggregator: Aggregator;
  /** [parameters], in memory of the backend, as the next step begins with them. */
  readonly parameters: Storage;
  readonly backend: HostBackend;
  readonly #plan: RunPlan;
  readonly #optimizer: Optimizer;
  /** Of the units of the current step, where the one before has left some. */
  #exponents: Int8Array | undefined;
  #rounding: NodeRounding | undefined;
  /** What `weightBytes` gives out. Not a view of the backend's memory, which may move when it grows. */
  readonly #sent: Float32Array;

  constructor({ backend, plan, weights, optimizer, optimizerState, firstStep = 0 }: ParameterServerOptions) {
    this.backend = backend;
    this.#plan = plan;
    this.parameterCount = weights.length;
    this.parameters = backend.allocate(weights.length);
    backend.upload(this.parameters, weights);
    this.aggregator = new Aggregator(backend, plan, weights.length);
    this.#optimizer = createOptimizer(backend, optimizer, this.parameters);
    this.#rounding = firstRounding(plan);
    if (optimizerState) this.#restore(optimizerState);
    this.#sent = new Float32Array(weights.length);
    this.beginStep(firstStep);
  }

  /** How the nodes of the current step are rounded. */
  get rounding(): NodeRounding | undefined {
    return this.#rounding;
  }

  /** One for each block of values; undefined where the current step needs none. */
  get exponents(): Int8Array | undefined {
    return this.#exponents;
  }

  /** Begins the sum of a step, anew where it was begun. */
  beginStep(step: number): void {
    this.aggregator.begin(step, this.#rounding);
  }

  /** Takes the optimizer's step with the sum of all gradients. @throws Error where a shard is missing. */
  step(step: number): StepResult {
    if (!this.aggregator.complete) throw new Error(`step ${step}: expected every shard's gradient, some are missing`);
    const { epoch, count } = stepBatch(this.#plan, step);
    const { lossSum, correct } = this.aggregator.figures();
    const { gradient } = this.aggregator;
    this.#optimizer.step(stepDivisor(this.#plan, step), gradient);
    if (this.#plan.rounding === 'int8-exact') {
      const root = this.backend.view(vectorsOf(gradient)[0]!);
      this.#useExponents(nextExponents(root, this.parameterCount, this.#exponents));
    }
    this.beginStep(step + 1);
    return { step, epoch, count, loss: lossSum / count, correct };
  }

  /** A copy of the parameters. */
  weights(): Float32Array<ArrayBuffer> {
    return this.backend.view(this.parameters).slice() as Float32Array<ArrayBuffer>;
  }

  /** The parameters as little-endian bytes, in memory that the next call overwrites. */
  weightBytes(): Uint8Array {
    this.#sent.set(this.backend.view(this.parameters));
    return new Uint8Array(this.#sent.buffer);
  }

  /** All that the next step depends on beside the parameters: with levels, the exponents of their units as well. */
  optimizerState(): OptimizerState {
    const { step, slots } = this.#optimizer.state();
    const exponents = this.#exponents && { [exponentsSlot]: Float32Array.from(this.#exponents) };
    return { step, slots: { ...slots, ...exponents } };
  }

  #restore({ step, slots }: OptimizerState): void {
    const { [exponentsSlot]: exponents, ...rest } = slots;
    this.#optimizer.restore({ step, slots: rest });
    if (exponents) this.#useExponents(Int8Array.from(exponents));
  }

  #useExponents(exponents: Int8Array): void {
    this.#exponents = exponents;
    this.#rounding = { type: 'int8', units: unitsOf(exponents, this.parameterCount) };
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.aggregator.dispose();
    this.backend.free(this.parameters);
  }
}
