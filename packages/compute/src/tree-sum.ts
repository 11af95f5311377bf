/** The only order in which values are added: pairwise up the fixed tree, left + right; in as few buffers as possible. */
import { parentOf, type Shard, shardKey, siblingOf } from '@lockstep/rules';
import {
  type Backend,
  isHostBackend,
  PreparedSums,
  type Program,
  prepareElementwise,
  type Storage,
  type VectorSum,
  vectorsOf,
} from '@lockstep/tensor';
import { sumCalls } from './half-rounding.ts';

interface TreeReductionOptions<Value> {
  readonly root: Shard;
  /** Microbatches from this number on hold no sample. */
  readonly usedMicrobatches: number;
  readonly combine: (left: Value, right: Value, parent: Shard) => Value;
}

/**
 * Combines the values of shards as soon as both halves of a node have arrived. The order of arrival does not change
 * which values are combined, so a sum always has the same bits.
 * A node whose right half is empty passes its left half's value on unchanged: adding zeros would turn -0 into +0.
 */
export class TreeReduction<Value> {
  readonly #options: TreeReductionOptions<Value>;
  readonly #waiting = new Map<string, Value>();

  constructor(options: TreeReductionOptions<Value>) {
    this.#options = options;
  }

  /** Adds the value of a shard within the root, each sample once. Returns the root's value once complete. */
  add(shard: Shard, value: Value): Value | undefined {
    const { root, usedMicrobatches, combine } = this.#options;
    let node = shard;
    let sum = value;
    while (node.n < root.n) {
      const sibling = siblingOf(node);
      const parent = parentOf(node);
      if (sibling.lo < usedMicrobatches) {
        const key = shardKey(sibling);
        if (!this.#waiting.has(key)) {
          this.#waiting.set(shardKey(node), sum);
          return undefined;
        }
        const other = this.#waiting.get(key)!;
        this.#waiting.delete(key);
        sum = sibling.lo < node.lo ? combine(other, sum, parent) : combine(sum, other, parent);
      }
      node = parent;
    }
    return sum;
  }
}

/** Sums the shards of a step. The last addition is left to the pass that uses the sum, unless it is to be rounded. */
export class TreeSum {
  readonly #backend: Backend;
  readonly #length: number;
  readonly #halfUnit: number | undefined;
  /** All buffers that this sum has allocated. */
  readonly #buffers = new Set<Storage>();
  /** Buffers that hold nothing. */
  #idle: Storage[] = [];
  /** Buffers being written; `begin` leaves them alone. */
  readonly #reserved = new Set<Storage>();
  readonly #additions: VectorAdder;
  #reduction: TreeReduction<VectorSum> | undefined;
  #result: VectorSum | undefined;

  /**
   * @param length of every vector
   * @param halfUnit value of 1 in half precision, if every node of vectors [parameters + 2] is rounded to a half
   */
  constructor(backend: Backend, length: number, halfUnit?: number) {
    this.#backend = backend;
    this.#length = length;
    this.#halfUnit = halfUnit;
    this.#additions = new VectorAdder(backend);
  }

  /** Begins a sum over `root`, whose microbatches from `usedMicrobatches` on are empty, and drops the previous sum. */
  begin(root: Shard, usedMicrobatches: number): void {
    this.drop();
    const isRounded = this.#halfUnit !== undefined;
    this.#additions.roundTo(this.#halfUnit);
    this.#reduction = new TreeReduction<VectorSum>({
      root,
      usedMicrobatches,
      combine: (left, right, { n }) => (n === root.n && !isRounded ? { left, right } : this.#combine(left, right)),
    });
  }

  /** Drops the sum, so that its buffers are free. */
  drop(): void {
    this.#reduction = undefined;
    this.#result = undefined;
    this.#idle = [...this.#buffers].filter((buffer) => !this.#reserved.has(buffer));
  }

  /** A buffer to write a vector into before `add`, which then copies nothing; the same buffer until `add`. */
  get free(): Storage {
    const last = this.#idle.at(-1);
    if (last) return last;
    const buffer = this.#backend.allocate(this.#length);
    this.#buffers.add(buffer);
    this.#idle.push(buffer);
    return buffer;
  }

  /** Reserves a buffer to write a vector into, until the vector is added or released. */
  reserve(): Storage {
    const buffer = this.#take();
    this.#reserved.add(buffer);
    return buffer;
  }

  /** Number of reserved buffers. */
  get reservedCount(): number {
    return this.#reserved.size;
  }

  /** Returns a reserved buffer whose vector will not be added. */
  release(buffer: Storage): void {
    if (this.#reserved.delete(buffer)) this.#idle.push(buffer);
  }

  /**
   * Adds the sum over `shard`, in any order, each sample once. The caller's vectors are read later and never written:
   * they must not change until the next `begin`.
   */
  add(shard: Shard, sum: VectorSum): void {
    if (sum === this.#idle.at(-1)) this.#idle.pop();
    if (!('left' in sum)) this.#reserved.delete(sum);
    this.#result = this.#reduction?.add(shard, sum) ?? this.#result;
  }

  /** Whether every shard has been added. */
  get complete(): boolean {
    return this.#result !== undefined;
  }

  /** The complete sum, until the next `begin`. @throws Error before it is complete */
  get result(): VectorSum {
    if (this.#result === undefined) throw new Error('tree sum: expected every shard, some are missing');
    return this.#result;
  }

  /** Returns the whole sum in one vector. @throws Error before it is complete */
  vector(): Storage {
    const { result } = this;
    const [first] = vectorsOf(result);
    if (result === first) return first;
    const own = vectorsOf(result).find((vector) => this.#buffers.has(vector));
    this.#result = own ?? this.#take();
    this.#additions.run(result, this.#result);
    return this.#result;
  }

  /** Frees the buffers it allocated. */
  dispose(): void {
    this.#additions.dispose();
    for (const buffer of this.#buffers) this.#backend.free(buffer);
    this.#buffers.clear();
    this.#reserved.clear();
    this.#idle = [];
  }

  #combine(left: VectorSum, right: VectorSum): Storage {
    const own = [...vectorsOf(left), ...vectorsOf(right)].filter((vector) => this.#buffers.has(vector));
    const [output = this.#take(), ...rest] = own;
    this.#additions.run({ left, right }, output);
    this.#idle.push(...rest);
    return output;
  }

  #take(): Storage {
    const buffer = this.free;
    this.#idle.pop();
    return buffer;
  }
}

/** Adds the vectors of sums, optionally rounded to halves. Each sum is prepared once. */
export class VectorAdder {
  readonly #backend: Backend;
  readonly #outputs = new Map<Storage, PreparedSums>();
  #halfUnit: number | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Value that 1 in half precision stands for; undefined if sums are not rounded. */
  get halfUnit(): number | undefined {
    return this.#halfUnit;
  }

  /**
   * Sets the rounding of the following sums.
   * @returns whether the rounding changed
   * @throws Error on a backend with unspecified rounding, such as a GPU
   */
  roundTo(halfUnit: number | undefined): boolean {
    if (halfUnit === this.#halfUnit) return false;
    if (halfUnit !== undefined && !isHostBackend(this.#backend)) {
      throw new Error(
        `${this.#backend.name}: expected a backend that rounds sums as all others do: compute on the CPU`,
      );
    }
    this.#halfUnit = halfUnit;
    this.dispose();
    return true;
  }

  /** Computes `output = sum`; the output may be one of the sum's vectors. */
  run(sum: VectorSum, output: Storage): void {
    const known = this.#outputs.get(output);
    const programs = known ?? new PreparedSums((one) => this.#prepare(one, output));
    this.#outputs.set(output, programs);
    programs.of(sum).run();
  }

  dispose(): void {
    for (const programs of this.#outputs.values()) programs.dispose();
    this.#outputs.clear();
  }

  /** Prepares `output = sum`, for all threads together. */
  #prepare(sum: VectorSum, output: Storage): Program {
    const calls = sumCalls(this.#backend, sum, output, this.#halfUnit);
    const programs = calls.map((call) => prepareElementwise(this.#backend, [call]));
    return {
      run() {
        for (const program of programs) program.run();
      },
      dispose() {
        for (const program of programs) program.dispose();
      },
    };
  }
}
