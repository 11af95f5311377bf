/** Computes the gradient of a shard on one backend, piece by piece, in parallel if the backend has threads. */
import type { TargetField } from '@lockstep/data';
import { everyLayer, inputSize, type Model } from '@lockstep/nn';
import { type InnerSteps, nextPowerOfTwo, powerOfTwoUpTo, type Shard, shardsOfRange } from '@lockstep/rules';
import {
  type Backend,
  isHostBackend,
  type Magnitude,
  type Program,
  runTogether,
  type Storage,
  type VectorSum,
} from '@lockstep/tensor';
import { microbatchCall, sumCalls } from './half-rounding.ts';
import { MicrobatchPiece, type PieceCompute, ReplicaPiece, type SampleRange, type ShardBatch } from './pieces.ts';
import { TreeReduction, VectorAdder } from './tree-sum.ts';

/** Most samples that one plan computes at once; more would save little. */
const maxSamples = 512;
/** Most activations that one plan computes at once, so that they stay in the processor's cache. */
const maxValues = 2 ** 20;
/** A sum is certainly finite if its terms' largest values add up to at most this, however it is rounded. */
const surelyFinite = 1e38;

/** Model and loss to differentiate. */
interface GradientSetup {
  readonly model: Model;
  readonly microbatchSize: number;
  readonly targetField: TargetField;
  /** Inner steps of each microbatch, if the run has them. */
  readonly innerSteps?: InnerSteps | undefined;
}

/** Allocator of vectors [parameters + 2]. */
interface VectorMemory {
  take(): Storage;
  give(vector: Storage): void;
}

/** Options of how a shard is computed. */
interface SlicedOptions {
  /** Whether `isFinite` is called for each shard, which takes a pass over the terms of its sum. */
  readonly checksFinite?: boolean;
  /** Source of vectors for large models; by default the backend's own memory. */
  readonly vectors?: VectorMemory | undefined;
}

/** State of one thread. */
interface ThreadMemory {
  readonly piece: PieceCompute;
  /** Each [parameters + 2]: gradient, loss sum, number of correct answers. */
  readonly vectors: Storage[];
  /** Programs that add the next vector to a vector, by the vector's index. */
  readonly additions: Map<number, Program>;
  /** Programs that round a vector, by its index. */
  readonly roundings: Map<number, Program>;
  /** Largest value of the gradient in a vector, by the vector's index. */
  readonly magnitudes: Map<number, Magnitude>;
}

export class SlicedGradient {
  readonly model: Model;
  readonly targetField: TargetField;
  readonly #backend: Backend;
  readonly #parameters: Storage;
  readonly #checksFinite: boolean;
  readonly #vectors: VectorMemory;
  readonly #microbatchSize: number;
  /** Most microbatches that one plan computes, a power of two. */
  readonly #maxMicrobatches: number;
  readonly #threads: readonly ThreadMemory[];
  readonly #adder: VectorAdder;
  readonly #schedules = new Map<string, ShardSchedule>();
  #batch: ShardBatch | undefined;
  #schedule: ShardSchedule | undefined;
  #turn = 0;
  /** Number of parts already computed, of each piece of the turn. */
  #part = 0;
  #terms: Magnitude[] = [];

  /** @param parameters [parameters], which belong to the caller */
  constructor(backend: Backend, setup: GradientSetup, parameters: Storage, options: SlicedOptions = {}) {
    const { model, microbatchSize, targetField, innerSteps } = setup;
    const { checksFinite = false, vectors } = options;
    this.#backend = backend;
    this.model = model;
    this.targetField = targetField;
    this.#microbatchSize = microbatchSize;
    this.#parameters = parameters;
    this.#checksFinite = checksFinite;
    this.#vectors = vectors ?? ownVectors(backend, parameters.length + 2);
    this.#adder = new VectorAdder(backend);
    const isOneByOne = innerSteps !== undefined || !backend.microbatchSums;
    this.#maxMicrobatches = isOneByOne
      ? 1
      : powerOfTwoUpTo(samplesAtOnce(model, vectors ? parameters.length : 0) / microbatchSize);
    this.#threads = Array.from({ length: backend.threads ?? 1 }, () => ({
      piece: innerSteps
        ? new ReplicaPiece({ backend, model, innerSteps, targetField, parameters })
        : new MicrobatchPiece({ backend, ...setup, parameters }),
      vectors: [],
      additions: new Map(),
      roundings: new Map(),
      magnitudes: new Map(),
    }));
  }

  /**
   * Begins a shard and drops the previous one.
   * @param turnSamples about how many samples a turn may have, at least a microbatch for each thread
   */
  begin(batch: ShardBatch, turnSamples = Number.POSITIVE_INFINITY): void {
    const microbatches = turnSamples / this.#microbatchSize / this.#threads.length;
    if (this.#adder.roundTo(batch.halfUnit)) this.#disposePasses();
    // A plan for several microbatches does not round their sums.
    const pieceMicrobatches =
      batch.halfUnit === undefined ? powerOfTwoUpTo(Math.min(this.#maxMicrobatches, microbatches)) : 1;
    this.#batch = batch;
    this.#schedule = this.#scheduleOf(batch.count, pieceMicrobatches);
    this.#turn = 0;
    this.#part = 0;
    this.#terms = [];
  }

  /** Computes the next turn of the shard, or a part of it. @returns its number of samples; 0 if all are computed */
  advance(): number {
    const pieces = this.#schedule?.turns[this.#turn];
    const batch = this.#batch;
    if (!pieces || !batch) return 0;
    const parts = pieces.map((piece, thread) => (piece ? this.#threads[thread]!.piece.partsOf(piece) : []));
    const lists = pieces.map((piece, thread) => (piece ? this.#programsOf(piece, parts[thread]!, thread, batch) : []));
    runTogether(this.#backend, lists);
    const samples = parts.reduce((sum, ofPiece) => sum + sizeOf(ofPiece[this.#part]), 0);
    this.#part += 1;
    if (parts.every(({ length }) => length <= this.#part)) {
      this.#turn += 1;
      this.#part = 0;
    }
    return samples;
  }

  /**
   * The sum over the shard once every turn has been computed, until the next `begin`: vectors [parameters + 2] of
   * gradient, loss sum and number of correct answers. A single vector if the sum is rounded.
   */
  get sum(): VectorSum {
    return this.#adder.halfUnit === undefined ? this.#placed(this.#schedule!.sum) : this.vector();
  }

  /** Returns the sum in one vector. */
  vector(): Storage {
    const { sum } = this.#schedule!;
    const first = firstOf(sum);
    const output = this.#vectorOf(first.thread, first.vector);
    if (sum !== first) this.#adder.run(this.#placed(sum), output);
    // The sum stays in its first term's vector.
    this.#schedule = { turns: [], sum: first };
    return output;
  }

  /** Whether every value of the shard's gradient is finite. Call it once every turn has been computed. */
  isFinite(): boolean {
    const bound = this.#terms.reduce((sum, magnitude) => sum + magnitude.value(), 0);
    if (bound <= surelyFinite) return true;
    // Finite terms may have an infinite sum, so the sum is computed first.
    const first = firstOf(this.#schedule!.sum);
    this.vector();
    const magnitude = this.#magnitudeOf(first.thread, first.vector);
    magnitude.program.run();
    return Number.isFinite(magnitude.value());
  }

  /** Frees everything. @param kept a vector that belongs to the caller from now on */
  dispose(kept?: Storage): void {
    this.#disposePasses();
    this.#adder.dispose();
    for (const { piece, vectors, magnitudes } of this.#threads) {
      piece.dispose();
      for (const { program } of magnitudes.values()) program.dispose();
      for (const vector of vectors) if (vector !== kept) this.#vectors.give(vector);
    }
  }

  #disposePasses(): void {
    for (const { additions, roundings } of this.#threads) {
      for (const program of [...additions.values(), ...roundings.values()]) program.dispose();
      additions.clear();
      roundings.clear();
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

  /** Returns the programs a thread runs of a piece in a turn: the next part, and after the last part the additions. */
  #programsOf(piece: Piece, parts: readonly SampleRange[], thread: number, batch: ShardBatch): Program[] {
    const part = parts[this.#part];
    if (!part) return [];
    const { vector, additions, endsTerm } = piece;
    const programs = this.#threads[thread]!.piece.programsOf(batch, piece, part, this.#vectorOf(thread, vector));
    if (this.#part + 1 < parts.length) return programs;
    if (batch.halfUnit !== undefined) programs.push(this.#roundingOf(thread, vector, batch.halfUnit));
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
    while (vectors.length <= index) vectors.push(this.#vectors.take());
    return vectors[index]!;
  }

  #additionOf(thread: number, index: number): Program {
    const { additions } = this.#threads[thread]!;
    const [left, right] = [this.#vectorOf(thread, index), this.#vectorOf(thread, index + 1)];
    const program = additions.get(index) ?? this.#prepareSum({ left, right }, left);
    additions.set(index, program);
    return program;
  }

  #prepareSum(sum: VectorSum, output: Storage): Program {
    return this.#backend.prepare(sumCalls(this.#backend, sum, output, this.#adder.halfUnit));
  }

  /** Returns the program that rounds a microbatch's sum. */
  #roundingOf(thread: number, index: number, halfUnit: number): Program {
    const { roundings } = this.#threads[thread]!;
    const backend = this.#backend;
    const known = roundings.get(index);
    const program = known ?? backend.prepare([microbatchCall(backend, this.#vectorOf(thread, index), halfUnit)]);
    roundings.set(index, program);
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
}

function sizeOf(range: SampleRange | undefined): number {
  return range ? range.to - range.from : 0;
}

function firstOf(sum: PlacedSum): Extract<PlacedSum, { thread: number }> {
  return 'thread' in sum ? sum : firstOf(sum.left);
}

function ownVectors(backend: Backend, length: number): VectorMemory {
  return { take: () => backend.allocate(length), give: (vector) => backend.free(vector) };
}

/** @param spared length of a vector if saving vectors matters more than the cache, otherwise 0 */
function samplesAtOnce(model: Model, spared: number): number {
  const valuesOf = (shape: readonly number[]): number => shape.reduce((size, length) => size * length, 1);
  const values = everyLayer(model).reduce((sum, { output }) => sum + valuesOf(output), inputSize(model));
  return Math.min(maxSamples, Math.floor(Math.max(maxValues, spared / 8) / values));
}

/** Samples that one thread computes at once: a tree node, or its nonempty part. */
interface Piece {
  /** Samples `[from, to)` of the shard. */
  readonly from: number;
  readonly to: number;
  /** Index of the thread's vector that receives the sum. */
  readonly vector: number;
  /** Number of additions afterwards. Each adds the sum to the previous vector, one level up the tree. */
  readonly additions: number;
  /** Whether the vector that the additions end in then holds a complete term of the whole sum. */
  readonly endsTerm: boolean;
}

/** A vector, by its thread and its index within the thread. */
interface VectorPlace {
  readonly thread: number;
  readonly vector: number;
}

/** The whole sum: terms in the threads' vectors, in the tree's order. */
export type PlacedSum = VectorPlace | { readonly left: PlacedSum; readonly right: PlacedSum };

interface ShardSchedule {
  /** Pieces by turn and thread; undefined for a thread that is idle in a turn. */
  readonly turns: readonly (readonly (Piece | undefined)[])[];
  readonly sum: PlacedSum;
}

export interface ScheduleOptions {
  readonly samples: number;
  readonly microbatchSize: number;
  readonly threads: number;
  /** Most microbatches in a piece, a power of two. */
  readonly pieceMicrobatches: number;
}

/**
 * Gives each thread a contiguous share of the microbatches, in as few tree nodes as possible, computed from left to
 * right. A thread adds what it can by itself; the rest is left to the pass over the sum, in which all threads take
 * part.
 */
export function scheduleShard(options: ScheduleOptions): ShardSchedule {
  const { samples, microbatchSize, threads, pieceMicrobatches } = options;
  const usedMicrobatches = Math.ceil(samples / microbatchSize);
  const root = { lo: 0, n: nextPowerOfTwo(usedMicrobatches) };
  const reduction = new TreeReduction<PlacedSum>({
    root,
    usedMicrobatches,
    combine: (left, right) => ({ left, right }),
  });
  let sum: PlacedSum | undefined;
  const ofThreads = Array.from({ length: threads }, (_, thread) => {
    const nodes = nodesOf(root, usedMicrobatches, thread, threads, pieceMicrobatches);
    return nodes.flatMap((node, vector) => {
      sum = reduction.add(node, { thread, vector }) ?? sum;
      return piecesOf(node, vector, options);
    });
  });
  const turns = Math.max(...ofThreads.map(({ length }) => length));
  return {
    turns: Array.from({ length: turns }, (_, turn) => ofThreads.map((pieces) => pieces[turn])),
    sum: sum ?? { thread: 0, vector: 0 },
  };
}

/** Returns the nodes of a thread's share. The last share includes the empty microbatches, for fewer nodes and terms. */
function nodesOf(root: Shard, used: number, thread: number, threads: number, pieceMicrobatches: number): Shard[] {
  const from = Math.round((used * thread) / threads);
  const to = Math.round((used * (thread + 1)) / threads);
  const nodes = shardsOfRange(from, to === used && to > from ? root.n : to).filter(({ lo }) => lo < used);
  const [first] = nodes;
  if (first?.n !== root.n || root.n <= pieceMicrobatches) return nodes;
  // The last addition is left to the pass over the sum.
  return [
    { lo: 0, n: root.n / 2 },
    { lo: root.n / 2, n: root.n / 2 },
  ];
}

/** Cuts a node into pieces; each is added to the pieces before it as far up the tree as possible. */
function piecesOf(node: Shard, vector: number, options: ScheduleOptions): Piece[] {
  const { samples, microbatchSize } = options;
  const usedMicrobatches = Math.ceil(samples / microbatchSize);
  let additions = 0;
  const combine = (): number => {
    additions += 1;
    return additions;
  };
  const reduction = new TreeReduction<number>({ root: node, usedMicrobatches, combine });
  let waiting = 0;
  return pieceNodes(node, options).map((piece) => {
    additions = 0;
    const endsTerm = reduction.add(piece, 0) !== undefined;
    const place = vector + waiting;
    waiting += 1 - additions;
    const [from, to] = [piece.lo, piece.lo + piece.n].map((microbatch) =>
      Math.min(samples, microbatch * microbatchSize),
    );
    return { from: from!, to: to!, vector: place, additions, endsTerm };
  });
}

/** Returns the nodes that are computed at once. A microbatch that is shorter than the others is computed alone. */
function pieceNodes(node: Shard, { samples, microbatchSize, pieceMicrobatches }: ScheduleOptions): Shard[] {
  const whole = Math.floor(samples / microbatchSize);
  const end = Math.min(node.lo + node.n, Math.ceil(samples / microbatchSize));
  const nodes = end > whole ? [...shardsOfRange(node.lo, whole), { lo: whole, n: 1 }] : [node];
  return nodes.flatMap(({ lo, n }) => {
    const step = Math.min(n, pieceMicrobatches);
    const count = Math.ceil((Math.min(lo + n, end) - lo) / step);
    return Array.from({ length: count }, (_, index) => ({ lo: lo + index * step, n: step }));
  });
}
