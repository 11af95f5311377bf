/** Work over whole vectors: sums in a given order, and maps that threads share by slices. */
import type { Backend, MapCall, Storage } from './backend.ts';
import { apply, type Formula, input } from './formula.ts';
import type { Program } from './program.ts';

/** Two sums that have not been added yet. */
interface Addition {
  readonly left: VectorSum;
  readonly right: VectorSum;
}

/**
 * A sum of vectors of one length, in the order in which they are added.
 * `left + right`, each again such a sum, or a vector.
 */
export type VectorSum = Storage | Addition;

/** The vectors of a sum, from left to right. */
export function vectorsOf(sum: VectorSum): readonly Storage[] {
  return 'left' in sum ? [...vectorsOf(sum.left), ...vectorsOf(sum.right)] : [sum];
}

/** What is made of each addition of a sum. */
export type RoundAddition = (sum: Formula) => Formula;

const asItIs: RoundAddition = (sum) => sum;

/**
 * The sum as a formula of inputs, of which `inputOf` tells the one that reads a vector.
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

/** The sum of the same ranges of its vectors. */
export function sliceSum(backend: Backend, sum: VectorSum, offset: number, length: number): VectorSum {
  if (!('left' in sum)) return backend.slice(sum, offset, length);
  const [left, right] = [sliceSum(backend, sum.left, offset, length), sliceSum(backend, sum.right, offset, length)];
  return { left, right };
}

/**
 * The call that leaves a sum in `output`, which may be one of its vectors.
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

/** Programs that depend on a sum, each prepared once. */
export class PreparedSums {
  readonly #prepare: (sum: VectorSum) => Program;
  readonly #programs = new Map<string, Program>();
  readonly #numbers = new Map<Storage, number>();

  constructor(prepare: (sum: VectorSum) => Program) {
    this.#prepare = prepare;
  }

  /** The program of the sum of these very vectors, in this order. */
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

/** Shorter slices take less time than it takes to wake a thread, measured. */
const leastSlice = 8_192;
/** Slices begin at multiples of this many values: a cache line. */
const alignment = 16;

/**
 * Maps over vectors of one length, prepared.
 * Element i of each depends on element i of the others alone, or on values that all elements share. Where the backend
 * has threads and the vectors are long, each thread does a slice, with the same bits.
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

/** The elements `[from, to)` of a map over vectors. */
function sliceOf(backend: Backend, call: MapCall, from: number, to: number): MapCall {
  const slice = (storage: Storage): Storage => backend.slice(storage, from, to - from);
  return {
    ...call,
    shape: [to - from],
    inputs: call.inputs.map((view) => (view.strides[0] === 0 ? view : { ...view, storage: slice(view.storage) })),
    output: slice(call.output),
  };
}

/** Runs lists of programs side by side where the backend has threads, else one after another. */
export function runTogether(backend: Backend, lists: readonly (readonly Program[])[]): void {
  if (backend.runTogether) backend.runTogether(lists);
  else for (const programs of lists) for (const program of programs) program.run();
}
