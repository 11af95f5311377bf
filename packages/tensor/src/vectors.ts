/** Operations on whole vectors: sums in a given order, and maps that threads split into slices. */
import type { Backend, MapCall, Program, Storage } from './backend.ts';
import { apply, type Formula, input } from './formula.ts';

/** An addition of two sums. */
interface Addition {
  readonly left: VectorSum;
  readonly right: VectorSum;
}

/**
 * A sum of vectors of one length, as a tree that fixes the order of additions.
 * A node is `left + right`; a leaf is a vector.
 */
export type VectorSum = Storage | Addition;

/** Returns the vectors of a sum, from left to right. */
export function vectorsOf(sum: VectorSum): readonly Storage[] {
  return 'left' in sum ? [...vectorsOf(sum.left), ...vectorsOf(sum.right)] : [sum];
}

/** Rounds the result of each addition of a sum. */
export type RoundAddition = (sum: Formula) => Formula;

const asItIs: RoundAddition = (sum) => sum;

/**
 * Returns the sum as a formula; `inputOf` returns the input that reads a vector.
 * `round` is applied to each addition, from the vectors up.
 */
export function sumFormula(
  sum: VectorSum,
  inputOf: (vector: Storage) => Formula,
  round: RoundAddition = asItIs,
): Formula {
  if (!('left' in sum)) return inputOf(sum);
  return round(apply('add', sumFormula(sum.left, inputOf, round), sumFormula(sum.right, inputOf, round)));
}

/** Returns the same sum over one range of each vector. */
export function sliceSum(backend: Backend, sum: VectorSum, offset: number, length: number): VectorSum {
  if (!('left' in sum)) return backend.slice(sum, offset, length);
  const [left, right] = [sliceSum(backend, sum.left, offset, length), sliceSum(backend, sum.right, offset, length)];
  return { left, right };
}

/**
 * Returns the call that writes a sum to `output`, which may be one of its vectors.
 * `round` is applied to each addition.
 */
export function additionCall(sum: VectorSum, output: Storage, round: RoundAddition = asItIs): MapCall {
  const vectors = [...new Set(vectorsOf(sum))];
  return {
    kind: 'map',
    formula: sumFormula(sum, (vector) => input(vectors.indexOf(vector)), round),
    shape: [output.length],
    inputs: vectors.map((storage) => ({ storage, strides: [1] })),
    output,
  };
}

/** A cache of programs by sum: each program is prepared once. */
export class PreparedSums {
  readonly #prepare: (sum: VectorSum) => Program;
  readonly #programs = new Map<string, Program>();
  readonly #numbers = new Map<Storage, number>();

  constructor(prepare: (sum: VectorSum) => Program) {
    this.#prepare = prepare;
  }

  /** Returns the program for the sum of these storages in this order; prepares it on first use. */
  of(sum: VectorSum): Program {
    const key = this.#keyOf(sum);
    const known = this.#programs.get(key) ?? this.#prepare(sum);
    this.#programs.set(key, known);
    return known;
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
    this.#numbers.clear();
  }

  #keyOf(sum: VectorSum): string {
    if ('left' in sum) return `(${this.#keyOf(sum.left)}+${this.#keyOf(sum.right)})`;
    const number = this.#numbers.get(sum) ?? this.#numbers.size;
    this.#numbers.set(sum, number);
    return `${number}`;
  }
}

/** Minimum length of a slice: a shorter one takes less time than waking a thread. */
const leastSlice = 8_192;
/** Slices begin at multiples of this number of values, a cache line. */
const alignment = 16;

/**
 * Prepares maps over vectors of one length.
 * Element i of an output must depend only on element i of the other vectors, or on values that all elements share. If
 * the backend has threads and the vectors are long, each thread computes a slice, with the same bits.
 */
export function prepareElementwise(backend: Backend, calls: readonly MapCall[]): Program {
  const { length = 0 } = calls.at(-1)?.output ?? {};
  const slices = Math.max(1, Math.min(backend.threads ?? 1, Math.floor(length / leastSlice)));
  if (slices === 1) return backend.prepare(calls);
  const edge = (slice: number): number =>
    slice === slices ? length : alignment * Math.round((length * slice) / slices / alignment);
  const programs = Array.from({ length: slices }, (_, slice) =>
    backend.prepare(calls.map((call) => sliceOf(backend, call, edge(slice), edge(slice + 1)))),
  );
  const lists = programs.map((program) => [program]);
  return {
    run: () => backend.runTogether!(lists),
    dispose() {
      for (const program of programs) program.dispose();
    },
  };
}

/** Returns the call for the elements `[from, to)` of a map over vectors. */
function sliceOf(backend: Backend, call: MapCall, from: number, to: number): MapCall {
  const slice = (storage: Storage): Storage => backend.slice(storage, from, to - from);
  return {
    ...call,
    shape: [to - from],
    inputs: call.inputs.map((view) => (view.strides[0] === 0 ? view : { ...view, storage: slice(view.storage) })),
    output: slice(call.output),
  };
}

/** Runs lists of programs in parallel if the backend has threads, else one after another. */
export function runTogether(backend: Backend, lists: readonly (readonly Program[])[]): void {
  if (backend.runTogether) backend.runTogether(lists);
  else for (const programs of lists) for (const program of programs) program.run();
}
