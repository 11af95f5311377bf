/** What computes a piece of a shard on one thread: whole microbatches at fixed weights, or one replica. */
import {
  createMicrobatchGradient,
  createShardGradient,
  type LabeledPlan,
  type Model,
  type OptimizerConfig,
  type RandomKey,
  type SampleRows,
  type SampleValues,
  stepCalls,
  type TargetType,
  type TargetValues,
} from '@lockstep/nn';
import { apply, type Backend, constant, input, type MapCall, type Program, type Storage } from '@lockstep/tensor';
import type { InnerSteps } from '../inner-steps.ts';

/** The samples of a shard. */
export interface ShardBatch {
  readonly count: number;
  /** Those of the samples `[from, to)`. */
  readonly samplesOf: (from: number, to: number) => SampleValues | SampleRows;
  /** Class indices [count], or values [count, outputs]. */
  readonly targets: TargetValues;
  /** With the position of the first sample. */
  readonly key: RandomKey;
  /** What 1 in half precision stands for, if each node of the tree is rounded to a half. */
  readonly halfUnit?: number | undefined;
}

/** Samples `[from, to)` of a shard. */
export interface SampleRange {
  readonly from: number;
  readonly to: number;
}

export interface PieceCompute {
  /** The samples of a piece, cut into what is computed in one turn; one after another. */
  partsOf(piece: SampleRange): readonly SampleRange[];
  /**
   * What the thread runs for a part. With the last one it leaves the piece's sum in `vector` [parameters + 2]: gradient, sum
   * of losses, correct answers. Samples and targets are read at once; the next call overwrites them.
   */
  programsOf(batch: ShardBatch, piece: SampleRange, part: SampleRange, vector: Storage): Program[];
  dispose(): void;
}

/** Takes some samples of a shard into a plan. @returns the rest of that work, for the thread that runs the plan */
function loadSamples(plan: LabeledPlan, batch: ShardBatch, { from, to }: SampleRange): readonly Program[] {
  const key = { ...batch.key, firstSample: batch.key.firstSample + from };
  const perSample = batch.targets.length / batch.count;
  return plan.load(batch.samplesOf(from, to), batch.targets.subarray(from * perSample, to * perSample), key);
}

interface MicrobatchPieceOptions {
  readonly backend: Backend;
  readonly model: Model;
  readonly microbatchSize: number;
  readonly targetType: TargetType;
  /** [parameters] */
  readonly parameters: Storage;
}

/** A piece of whole microbatches at fixed weights: one pass over all of their samples. */
export class MicrobatchPiece implements PieceCompute {
  readonly #options: MicrobatchPieceOptions;
  /** By number of samples: some whole microbatches, or the short last one of a batch. */
  readonly #plans = new Map<number, LabeledPlan>();

  constructor(options: MicrobatchPieceOptions) {
    this.#options = options;
  }

  partsOf(piece: SampleRange): readonly SampleRange[] {
    return [piece];
  }

  programsOf(batch: ShardBatch, _piece: SampleRange, part: SampleRange, vector: Storage): Program[] {
    const plan = this.#planFor(part.to - part.from, vector);
    return [...loadSamples(plan, batch, part), plan.into(vector)];
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
  }

  /** @param output stands for an output of the plan's own */
  #planFor(samples: number, output: Storage): LabeledPlan {
    const known = this.#plans.get(samples);
    if (known) return known;
    const { backend, model, microbatchSize, targetType, parameters } = this.#options;
    const microbatches = samples / microbatchSize;
    const options = { targetType, output };
    const plan =
      microbatches > 1
        ? createShardGradient(backend, model, { microbatches, microbatchSize }, parameters, options)
        : createMicrobatchGradient(backend, model, samples, parameters, options);
    this.#plans.set(samples, plan);
    return plan;
  }
}

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

/** A piece that is one replica: inner steps one after another, on weights of the thread's own. */
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
