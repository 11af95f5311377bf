/** A piece that is one replica: inner steps one after another, on weights of the thread's own. */
import {
  createMicrobatchGradient,
  type LabeledPlan,
  type Model,
  type OptimizerConfig,
  stepCalls,
  type TargetType,
} from '@lockstep/nn';
import { apply, type Backend, constant, input, type MapCall, type Program, type Storage } from '@lockstep/tensor';
import type { InnerSteps } from '../inner-steps.ts';
import { loadSamples, type PieceCompute, type SampleRange, type ShardBatch } from './piece.ts';

interface ReplicaPieceOptions {
  readonly backend: Backend;
  readonly model: Model;
  readonly innerSteps: InnerSteps;
  readonly targetType: TargetType;
  /** [parameters], with which every replica begins. */
  readonly parameters: Storage;
}

/** Inner steps of a turn have a plan each, which holds their samples; more of them would save little. */
const mostPlans = 8;
/** Most samples of a turn, where an inner step has no more. */
const turnSamples = 512;

export class ReplicaPiece implements PieceCompute {
  readonly #options: ReplicaPieceOptions;
  readonly #optimizer: OptimizerConfig;
  readonly #stepsInTurn: number;
  /** [parameters], as the inner steps change them. */
  readonly #weights: Storage;
  /** [parameters + 2] of one inner step. */
  readonly #gradient: Storage;
  /** Sums over the inner steps: losses, correct answers. */
  readonly #figures: Storage;
  /** [parameters], where there is momentum. */
  readonly #slots: ReadonlyMap<string, Storage>;
  readonly #begin: Program;
  /** By place in the turn, and number of samples. */
  readonly #plans = new Map<string, LabeledPlan>();
  /** By number of samples. */
  readonly #steps = new Map<number, Program>();
  readonly #ends = new Map<Storage, Program>();

  constructor(options: ReplicaPieceOptions) {
    const { backend, innerSteps, parameters } = options;
    const { batch, learningRate, momentum } = innerSteps;
    this.#options = options;
    this.#stepsInTurn = Math.max(1, Math.min(mostPlans, Math.floor(turnSamples / batch)));
    this.#optimizer = { type: 'sgd', learningRate, ...(momentum > 0 ? { momentum } : {}) };
    this.#weights = backend.allocate(parameters.length);
    this.#gradient = backend.allocate(parameters.length + 2);
    this.#figures = backend.allocate(2);
    this.#slots = new Map(momentum > 0 ? [['buffer', backend.allocate(parameters.length)]] : []);
    this.#begin = backend.prepare([
      mapOf(input(0), [parameters], this.#weights),
      ...[...this.#slots.values(), this.#figures].map((storage) => mapOf(constant(0), [], storage)),
    ]);
  }

  partsOf({ from, to }: SampleRange): readonly SampleRange[] {
    const samples = this.#stepsInTurn * this.#options.innerSteps.batch;
    return Array.from({ length: Math.ceil((to - from) / samples) }, (_, part) => ({
      from: from + part * samples,
      to: Math.min(to, from + (part + 1) * samples),
    }));
  }

  programsOf(batch: ShardBatch, piece: SampleRange, part: SampleRange, vector: Storage): Program[] {
    const programs = part.from === piece.from ? [this.#begin] : [];
    const { innerSteps } = this.#options;
    for (let from = part.from, place = 0; from < part.to; from += innerSteps.batch, place++) {
      const to = Math.min(part.to, from + innerSteps.batch);
      const plan = this.#planFor(place, to - from);
      programs.push(...loadSamples(plan, batch, { from, to }), plan.into(this.#gradient), this.#stepFor(to - from));
    }
    if (part.to === piece.to) programs.push(this.#endIn(vector));
    return programs;
  }

  dispose(): void {
    const { backend } = this.#options;
    for (const plan of this.#plans.values()) plan.dispose();
    for (const program of [this.#begin, ...this.#steps.values(), ...this.#ends.values()]) program.dispose();
    for (const storage of [this.#weights, this.#gradient, this.#figures, ...this.#slots.values()]) {
      backend.free(storage);
    }
  }

  #planFor(place: number, samples: number): LabeledPlan {
    const key = `${place} ${samples}`;
    const { backend, model, targetType } = this.#options;
    const options = { targetType, output: this.#gradient };
    const plan = this.#plans.get(key) ?? createMicrobatchGradient(backend, model, samples, this.#weights, options);
    this.#plans.set(key, plan);
    return plan;
  }

  /** The step on the mean gradient, and its figures. */
  #stepFor(samples: number): Program {
    const known = this.#steps.get(samples);
    if (known) return known;
    const { backend } = this.#options;
    const [parameters, slots, figures] = [this.#weights, this.#slots, this.#figures];
    const [gradient, ofStep] = this.#halves(this.#gradient);
    // Without dampening and schedule all steps have the same scalars.
    const step = backend.prepare([
      ...stepCalls(this.#optimizer, { step: 1, samples, parameters, gradient, slots }),
      mapOf(apply('add', input(0), input(1)), [figures, ofStep], figures),
    ]);
    this.#steps.set(samples, step);
    return step;
  }

  /** Leaves what the steps took from the weights, and their figures. */
  #endIn(vector: Storage): Program {
    const known = this.#ends.get(vector);
    if (known) return known;
    const { backend, parameters } = this.#options;
    const [taken, figures] = this.#halves(vector);
    const end = backend.prepare([
      mapOf(apply('sub', input(0), input(1)), [parameters, this.#weights], taken),
      mapOf(input(0), [this.#figures], figures),
    ]);
    this.#ends.set(vector, end);
    return end;
  }

  /** The first values of a vector, as many as parameters, and the two figures behind them. */
  #halves(vector: Storage): [Storage, Storage] {
    const { backend, parameters } = this.#options;
    const { length } = parameters;
    return [backend.slice(vector, 0, length), backend.slice(vector, length, 2)];
  }
}

/** `output[e] = formula(inputs at e)` over vectors of one length. */
function mapOf(formula: MapCall['formula'], inputs: readonly Storage[], output: Storage): MapCall {
  const views = inputs.map((storage) => ({ storage, strides: [1] }));
  return { kind: 'map', formula, shape: [output.length], inputs: views, output };
}
