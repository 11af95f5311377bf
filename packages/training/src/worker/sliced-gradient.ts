/** The gradient of a shard on one backend, computed piece by piece, side by side where the backend has threads. */
import {
  createMicrobatchGradient,
  createShardGradient,
  type LabeledPlan,
  layerShapes,
  type Model,
  type RandomKey,
  type SampleRows,
  type SampleValues,
  type TargetType,
  type TargetValues,
} from '@lockstep/nn';
import {
  additionCall,
  type Backend,
  isHostBackend,
  type Magnitude,
  type Program,
  runTogether,
  type Storage,
  type VectorSum,
} from '@lockstep/tensor';
import { VectorAdder } from '../tree-sum.ts';
import { type Piece, type PlacedSum, type ShardSchedule, scheduleShard } from './shard-schedule.ts';

/** Most samples that one plan computes at once; more would save little. */
const maxSamples = 512;
/** Most values between the layers that one plan computes at once, so that they stay in the processor's cache. */
const maxValues = 2 ** 20;
/** Terms whose largest values add up to no more than this have a finite sum, however it is rounded. */
const surelyFinite = 1e38;

/** The samples of a shard. */
export interface ShardBatch {
  readonly count: number;
  /** Those of the samples `[from, to)`. */
  readonly samplesOf: (from: number, to: number) => SampleValues | SampleRows;
  /** Class indices [count], or values [count, outputs]. */
  readonly targets: TargetValues;
  /** With the position of the first sample. */
  readonly key: RandomKey;
}

/** Of what the gradient is taken. */
export interface GradientSetup {
  readonly model: Model;
  readonly microbatchSize: number;
  readonly targetType: TargetType;
}

/** What a thread needs of its own. */
interface ThreadMemory {
  /** By number of samples: some whole microbatches, or the short last one of a batch. */
  readonly plans: Map<number, LabeledPlan>;
  /** [parameters + 2] each: gradient, sum of losses, correct answers. */
  readonly vectors: Storage[];
  /** By a vector's place, what adds the next vector to it. */
  readonly additions: Map<number, Program>;
  /** Of the gradient in a vector, by its place. */
  readonly magnitudes: Map<number, Magnitude>;
}

export class SlicedGradient {
  readonly model: Model;
  readonly targetType: TargetType;
  readonly #backend: Backend;
  readonly #parameters: Storage;
  readonly #checksFinite: boolean;
  readonly #microbatchSize: number;
  /** Most microbatches that one plan computes, a power of two. */
  readonly #maxMicrobatches: number;
  readonly #threads: readonly ThreadMemory[];
  readonly #adder: VectorAdder;
  readonly #schedules = new Map<string, ShardSchedule>();
  #batch: ShardBatch | undefined;
  #schedule: ShardSchedule | undefined;
  #turn = 0;
  #terms: Magnitude[] = [];

  /**
   * @param parameters [parameters], which belong to the caller
   * @param checksFinite whether `isFinite` is asked for each shard, which takes a pass over the terms of its sum
   */
  constructor(
    backend: Backend,
    { model, microbatchSize, targetType }: GradientSetup,
    parameters: Storage,
    checksFinite = false,
  ) {
    this.#backend = backend;
    this.model = model;
    this.targetType = targetType;
    this.#microbatchSize = microbatchSize;
    this.#parameters = parameters;
    this.#checksFinite = checksFinite;
    this.#adder = new VectorAdder(backend);
    this.#maxMicrobatches = backend.microbatchSums ? powerOfTwoUpTo(samplesAtOnce(model) / microbatchSize) : 1;
    this.#threads = Array.from({ length: backend.threads ?? 1 }, () => ({
      plans: new Map(),
      vectors: [],
      additions: new Map(),
      magnitudes: new Map(),
    }));
  }

  /**
   * Begins a shard; one that was begun before is dropped.
   * @param turnSamples about how many samples a turn may have, at least a microbatch for each thread
   */
  begin(batch: ShardBatch, turnSamples = Number.POSITIVE_INFINITY): void {
    const microbatches = turnSamples / this.#microbatchSize / this.#threads.length;
    const pieceMicrobatches = powerOfTwoUpTo(Math.min(this.#maxMicrobatches, microbatches));
    this.#batch = batch;
    this.#schedule = this.#scheduleOf(batch.count, pieceMicrobatches);
    this.#turn = 0;
    this.#terms = [];
  }

  /** Computes the next turn of the shard. @returns its number of samples; 0 where all were computed */
  advance(): number {
    const pieces = this.#schedule?.turns[this.#turn];
    const batch = this.#batch;
    if (!pieces || !batch) return 0;
    this.#turn += 1;
    const lists = pieces.map((piece, thread) => (piece ? this.#programsOf(piece, thread, batch) : []));
    runTogether(this.#backend, lists);
    return pieces.reduce((sum, piece) => sum + (piece ? piece.to - piece.from : 0), 0);
  }

  /**
   * The sum over the shard once every turn was computed, until the next `begin`: vectors [parameters + 2] that hold the
   * gradient, then the sums of losses and of correct answers.
   */
  get sum(): VectorSum {
    return this.#placed(this.#schedule!.sum);
  }

  /** The same in one vector. */
  vector(): Storage {
    const { sum } = this.#schedule!;
    const first = firstOf(sum);
    const output = this.#vectorOf(first.thread, first.vector);
    if (sum !== first) this.#adder.run(this.#placed(sum), output);
    return output;
  }

  /** Whether every number of the shard's gradient is finite, once every turn was computed. */
  isFinite(): boolean {
    const bound = this.#terms.reduce((sum, magnitude) => sum + magnitude.value(), 0);
    if (bound <= surelyFinite) return true;
    // Terms may be finite and their sum not, so it is added first, and stays where its first term was.
    const first = firstOf(this.#schedule!.sum);
    this.vector();
    this.#schedule = { turns: [], sum: first };
    const magnitude = this.#magnitudeOf(first.thread, first.vector);
    magnitude.program.run();
    return Number.isFinite(magnitude.value());
  }

  dispose(): void {
    this.#adder.dispose();
    for (const { plans, vectors, additions, magnitudes } of this.#threads) {
      for (const plan of plans.values()) plan.dispose();
      for (const program of additions.values()) program.dispose();
      for (const { program } of magnitudes.values()) program.dispose();
      for (const vector of vectors) this.#backend.free(vector);
    }
  }

  #scheduleOf(samples: number, pieceMicrobatches: number): ShardSchedule {
    const key = `${samples} ${pieceMicrobatches}`;
    const microbatchSize = this.#microbatchSize;
    const threads = this.#threads.length;
    const schedule = this.#schedules.get(key) ?? scheduleShard({ samples, microbatchSize, threads, pieceMicrobatches });
    this.#schedules.set(key, schedule);
    return schedule;
  }

  /** What a thread runs in a turn: the samples as floats, the gradient of its piece, and additions up the tree. */
  #programsOf({ from, to, vector, additions, endsTerm }: Piece, thread: number, batch: ShardBatch): Program[] {
    const plan = this.#planFor(thread, to - from);
    const key = { ...batch.key, firstSample: batch.key.firstSample + from };
    const perSample = batch.targets.length / batch.count;
    const targets = batch.targets.subarray(from * perSample, to * perSample);
    const loading = plan.load(batch.samplesOf(from, to), targets, key);
    const programs = [...loading, plan.into(this.#vectorOf(thread, vector))];
    const term = vector - additions;
    for (let into = vector - 1; into >= term; into--) programs.push(this.#additionOf(thread, into));
    if (endsTerm && this.#checksFinite) {
      const magnitude = this.#magnitudeOf(thread, term);
      this.#terms.push(magnitude);
      programs.push(magnitude.program);
    }
    return programs;
  }

  #placed(sum: PlacedSum): VectorSum {
    if ('thread' in sum) return this.#vectorOf(sum.thread, sum.vector);
    return { left: this.#placed(sum.left), right: this.#placed(sum.right) };
  }

  #vectorOf(thread: number, index: number): Storage {
    const { vectors } = this.#threads[thread]!;
    while (vectors.length <= index) vectors.push(this.#backend.allocate(this.#parameters.length + 2));
    return vectors[index]!;
  }

  #additionOf(thread: number, index: number): Program {
    const { additions } = this.#threads[thread]!;
    const [left, right] = [this.#vectorOf(thread, index), this.#vectorOf(thread, index + 1)];
    const program = additions.get(index) ?? this.#backend.prepare([additionCall({ left, right }, left)]);
    additions.set(index, program);
    return program;
  }

  #magnitudeOf(thread: number, index: number): Magnitude {
    const { magnitudes } = this.#threads[thread]!;
    const backend = this.#backend;
    if (!isHostBackend(backend)) throw new Error(`${backend.name}: its numbers cannot be looked at`);
    const known = magnitudes.get(index);
    if (known) return known;
    const magnitude = backend.magnitudeOf(backend.slice(this.#vectorOf(thread, index), 0, this.#parameters.length));
    magnitudes.set(index, magnitude);
    return magnitude;
  }

  #planFor(thread: number, samples: number): LabeledPlan {
    const { plans } = this.#threads[thread]!;
    const known = plans.get(samples);
    if (known) return known;
    const [backend, parameters, microbatchSize] = [this.#backend, this.#parameters, this.#microbatchSize];
    const microbatches = samples / microbatchSize;
    const options = { targetType: this.targetType, output: this.#vectorOf(thread, 0) };
    const plan =
      microbatches > 1
        ? createShardGradient(backend, this.model, { microbatches, microbatchSize }, parameters, options)
        : createMicrobatchGradient(backend, this.model, samples, parameters, options);
    plans.set(samples, plan);
    return plan;
  }
}

function firstOf(sum: PlacedSum): Extract<PlacedSum, { thread: number }> {
  return 'thread' in sum ? sum : firstOf(sum.left);
}

function samplesAtOnce(model: Model): number {
  const values = layerShapes(model).reduce((sum, shape) => sum + shape.reduce((size, length) => size * length, 1), 0);
  return Math.min(maxSamples, Math.floor(maxValues / values));
}

/** The largest power of two that is at most `value`, and at least 1. */
function powerOfTwoUpTo(value: number): number {
  return value < 2 ? 1 : 2 ** Math.floor(Math.log2(value));
}
