/** Computes a piece of a shard on one thread: whole microbatches at fixed weights, or one replica. */
import type { SampleValues, TargetField, TargetValues } from '@lockstep/data';
import {
  createMicrobatchGradient,
  createShardGradient,
  type LabeledPlan,
  type Model,
  type OptimizerConfig,
  type RandomKey,
  type SampleRows,
  stepCalls,
} from '@lockstep/nn';
import type { InnerSteps } from '@lockstep/rules';
import { apply, type Backend, constant, input, type MapCall, type Program, type Storage } from '@lockstep/tensor';

/** The samples of a shard. */
export interface ShardBatch {
  readonly count: number;
  /** Returns the values of the samples `[from, to)`. */
  readonly samplesOf: (from: number, to: number) => SampleValues | SampleRows;
  /** Class indices [count], or values [count, outputs]. */
  readonly targets: TargetValues;
  /** Includes the position of the first sample. */
  readonly key: RandomKey;
  /** Value that 1 in half precision stands for, if every tree node is rounded to a half. */
  readonly halfUnit?: number | undefined;
}

/** Samples `[from, to)` of a shard. */
export interface SampleRange {
  readonly from: number;
  readonly to: number;
}

export interface PieceCompute {
  /** Cuts a piece into consecutive parts, one for each turn. */
  partsOf(piece: SampleRange): readonly SampleRange[];
  /**
   * Returns the programs that the thread runs for a part. With the last part they leave the piece's sum in `vector`,
   * [parameters + 2]: gradient, loss sum and number of correct answers. Samples and targets are loaded at once; the next
   * call overwrites them.
   */
  programsOf(batch: ShardBatch, piece: SampleRange, part: SampleRange, vector: Storage): Program[];
  dispose(): void;
}

/** Loads samples of a shard into a plan. @returns the rest of the loading, for the thread that runs the plan */
function loadSamples(plan: LabeledPlan, batch: ShardBatch, { from, to }: SampleRange): readonly Program[] {
  const key = { ...batch.key, firstSample: batch.key.firstSample + from };
  const perSample = batch.targets.length / batch.count;
  return plan.load(batch.samplesOf(from, to), batch.targets.subarray(from * perSample, to * perSample), key);
}

interface PieceOptions {
  readonly backend: Backend;
  readonly model: Model;
  readonly targetField: TargetField;
  /** [parameters]; every replica starts from them. */
  readonly parameters: Storage;
}

interface MicrobatchPieceOptions extends PieceOptions {
  readonly microbatchSize: number;
}

/** A piece of whole microbatches at fixed weights: one pass over all of their samples. */
export class MicrobatchPiece implements PieceCompute {
  readonly #options: MicrobatchPieceOptions;
  /** Plans by number of samples: some whole microbatches, or the short last one of a batch. */
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

  /** @param output replaces an output vector of the plan's own */
  #planFor(samples: number, output: Storage): LabeledPlan {
    const known = this.#plans.get(samples);
    if (known) return known;
    const { backend, model, microbatchSize, targetField, parameters } = this.#options;
    const microbatches = samples / microbatchSize;
    const options = { targetField, output };
    const plan =
      microbatches > 1
        ? createShardGradient(backend, model, { microbatches, microbatchSize }, parameters, options)
        : createMicrobatchGradient(backend, model, samples, parameters, options);
    this.#plans.set(samples, plan);
    return plan;
  }
}

interface ReplicaPieceOptions extends PieceOptions {
  readonly innerSteps: InnerSteps;
}

/** Most inner steps in a turn. Each has its own plan, which holds its samples; more steps would save little. */
const mostPlans = 8;
/** Most samples in a turn, unless a single inner step has more. */
const turnSamples = 512;

/** A piece that is one replica: consecutive inner steps on the thread's own weights. */
export class ReplicaPiece implements PieceCompute {
  readonly #options: ReplicaPieceOptions;
  readonly #optimizer: OptimizerConfig;
  readonly #stepsInTurn: number;
  /** [parameters], updated by the inner steps. */
  readonly #weights: Storage;
  /** [parameters + 2] of one inner step. */
  readonly #gradient: Storage;
  /** Sums over the inner steps: losses, correct answers. */
  readonly #figures: Storage;
  /** [parameters], if there is momentum. */
  readonly #slots: ReadonlyMap<string, Storage>;
  readonly #begin: Program;
  /** Plans by place in the turn and number of samples. */
  readonly #plans = new Map<string, LabeledPlan>();
  /** Programs by number of samples. */
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
    const { backend, model, targetField } = this.#options;
    const options = { targetField, output: this.#gradient };
    const plan = this.#plans.get(key) ?? createMicrobatchGradient(backend, model, samples, this.#weights, options);
    this.#plans.set(key, plan);
    return plan;
  }

  /** Returns the inner step on the mean gradient, which also adds up the figures. */
  #stepFor(samples: number): Program {
    const known = this.#steps.get(samples);
    if (known) return known;
    const { backend, innerSteps } = this.#options;
    const { frozen = 0 } = innerSteps;
    const trained = (vector: Storage): Storage =>
      frozen === 0 ? vector : backend.slice(vector, frozen, vector.length - frozen);
    const [all, ofStep] = this.#halves(this.#gradient);
    const [parameters, gradient, figures] = [trained(this.#weights), trained(all), this.#figures];
    const slots = new Map(Array.from(this.#slots, ([name, slot]) => [name, trained(slot)]));
    // Without dampening or a schedule all steps have the same scalars.
    const step = backend.prepare([
      ...stepCalls(this.#optimizer, { step: 1, samples, parameters, gradient, slots }),
      mapOf(apply('add', input(0), input(1)), [figures, ofStep], figures),
    ]);
    this.#steps.set(samples, step);
    return step;
  }

  /** Returns the program that writes the change `before - after` of the weights, and the figures, to `vector`. */
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

  /** Splits a vector into its first `parameters.length` values and the two figures after them. */
  #halves(vector: Storage): [Storage, Storage] {
    const { backend, parameters } = this.#options;
    const { length } = parameters;
    return [backend.slice(vector, 0, length), backend.slice(vector, length, 2)];
  }
}

/** Returns the call `output[e] = formula(inputs at e)`, over vectors of equal length. */
function mapOf(formula: MapCall['formula'], inputs: readonly Storage[], output: Storage): MapCall {
  const views = inputs.map((storage) => ({ storage, strides: [1] }));
  return { kind: 'map', formula, shape: [output.length], inputs: views, output };
}
