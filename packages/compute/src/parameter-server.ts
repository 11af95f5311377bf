/** The parameters of a model at the start of a step, the sum of the step's gradients, and the optimizer step. */

import {
  createOptimizer,
  type DecayRange,
  type Optimizer,
  type OptimizerConfig,
  type OptimizerState,
} from '@lockstep/nn';
import { bytesOf, type Checksum } from '@lockstep/protocol';
import { type RunPlan, type Shard, stepBatch, stepDivisor } from '@lockstep/rules';
import type { HostBackend, Storage } from '@lockstep/tensor';
import { Aggregator } from './aggregator.ts';
import { checksumBy, uploadFloats } from './vector-memory.ts';

interface ParametersOptions {
  readonly backend: HostBackend;
  readonly plan: RunPlan;
  /** [parameters], in model order. */
  readonly weights: Float32Array;
}

/** The part of a parameter server that a relay has too; a relay's weights come from the coordinator above it. */
export class Parameters {
  readonly parameterCount: number;
  readonly aggregator: Aggregator;
  /** [parameters], in memory of the backend, at the start of the next step. */
  readonly parameters: Storage;
  readonly backend: HostBackend;
  /** Checksum of arriving gradients. */
  readonly checksum: Checksum;
  #beforeChange = (): void => {};
  /** Copy that `weightBytes` returns; a view of the backend's memory would move when that memory grows. */
  #sent: Float32Array | undefined;

  constructor({ backend, plan, weights }: ParametersOptions) {
    this.backend = backend;
    this.checksum = checksumBy(backend.codec);
    this.parameterCount = weights.length;
    this.parameters = backend.allocate(weights.length);
    backend.upload(this.parameters, weights);
    this.aggregator = new Aggregator(backend, plan, weights.length);
  }

  /** Begins the sum of a step, or of one shard of it, even if one had begun. */
  beginStep(step: number, asked?: Shard): void {
    this.aggregator.begin(step, asked);
  }

  /** Registers a callback that runs before the weights change, for a reader that has not read all of them yet. */
  beforeChange(callback: () => void): void {
    this.#beforeChange = callback;
  }

  /** Must be called before the weights change. */
  protected changing(): void {
    this.#beforeChange();
  }

  /** Replaces the weights; little-endian float32 at any alignment. */
  setWeights(bytes: Uint8Array): void {
    this.changing();
    uploadFloats(this.backend, this.parameters, bytes);
  }

  /** Whether these bytes equal the weights. */
  hasWeights(bytes: Uint8Array): boolean {
    const own = bytesOf(this.backend.view(this.parameters));
    return own.length === bytes.length && own.every((byte, at) => byte === bytes[at]);
  }

  /** Returns a copy of the parameters. */
  weights(): Float32Array<ArrayBuffer> {
    return this.backend.view(this.parameters).slice() as Float32Array<ArrayBuffer>;
  }

  /** Returns the parameters as little-endian bytes, in memory that the next call overwrites. */
  weightBytes(): Uint8Array {
    this.#sent ??= new Float32Array(this.parameterCount);
    this.#sent.set(this.backend.view(this.parameters));
    return new Uint8Array(this.#sent.buffer);
  }

  dispose(): void {
    this.aggregator.dispose();
    this.backend.free(this.parameters);
  }
}

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

/** Everything that the steps of a run depend on besides their samples. */
interface StepState {
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  /** By default that of an optimizer that has taken no step. */
  readonly optimizerState?: OptimizerState | undefined;
}

interface ParameterServerOptions extends ParametersOptions, StepState {
  /** Returns the state before the first step again; by default it is kept in memory. */
  readonly beginning?: () => StepState;
  readonly optimizer: OptimizerConfig;
  /** Parameters that decay; all by default. */
  readonly layout?: readonly DecayRange[];
  /** Number of leading parameters that keep their values; 0 by default. */
  readonly frozen?: number | undefined;
  /** First step to take; 0 by default. */
  readonly firstStep?: number;
}

export class ParameterServer extends Parameters {
  readonly #plan: RunPlan;
  readonly #optimizer: Optimizer;
  readonly #beginning: () => StepState;
  /** Copies of earlier states, by the step that they precede. */
  readonly #kept = new Map<number, StepState>();

  constructor(options: ParameterServerOptions) {
    const { backend, plan, weights, optimizer, layout, frozen, optimizerState, firstStep = 0 } = options;
    super({ backend, plan, weights });
    this.#plan = plan;
    this.#beginning = options.beginning ?? (() => ({ weights, optimizerState }));
    this.#optimizer = createOptimizer(backend, optimizer, this.parameters, layout, frozen);
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

  /** The weights and the optimizer's state themselves, until the next step or until the backend allocates. */
  view(): { readonly weights: Float32Array; readonly optimizer: OptimizerState } {
    return { weights: this.backend.view(this.parameters), optimizer: this.#optimizer.view() };
  }

  /** Returns everything besides the parameters that the next step depends on. */
  optimizerState(): OptimizerState {
    return this.#optimizer.state();
  }

  /** Keeps a copy of the state, which is that before this step. */
  keepState(step: number): void {
    this.#kept.set(step, { weights: this.weights(), optimizerState: this.optimizerState() });
  }

  forgetState(step: number): void {
    this.#kept.delete(step);
  }

  /** Number of copies in memory. */
  get keptStates(): number {
    return this.#kept.size;
  }

  /** Returns to the state before this step, a kept one or that of the beginning, and forgets later ones. */
  goBack(step: number): void {
    const { weights, optimizerState = unused(this.optimizerState()) } = this.#kept.get(step) ?? this.#beginning();
    for (const later of this.#kept.keys()) if (later > step) this.#kept.delete(later);
    this.restore(step, weights, optimizerState);
  }

  /** Replaces the state by that before a step. @param optimizerState of the same optimizer */
  restore(step: number, weights: Float32Array, optimizerState: OptimizerState): void {
    this.setWeights(bytesOf(weights));
    this.#optimizer.restore(optimizerState);
    this.beginStep(step);
  }

  override dispose(): void {
    this.#optimizer.dispose();
    super.dispose();
  }
}

/** Returns the state of an optimizer of this kind that has taken no step. */
function unused({ slots }: OptimizerState): OptimizerState {
  return { step: 0, slots: Object.fromEntries(Object.entries(slots).map(([name, values]) => [name, values.fill(0)])) };
}
