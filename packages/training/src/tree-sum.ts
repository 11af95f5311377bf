/** Sums vectors in the order of the fixed tree, as they become ready and in as few buffers as that needs. */
import { type Backend, PreparedSums, type Storage, type VectorSum, vectorsOf } from '@lockstep/tensor';
import type { NodeRounding } from './node-rounding.ts';
import { RoundingPasses } from './rounding-passes.ts';
import type { Shard } from './tree.ts';
import { TreeReduction } from './tree-reduction.ts';

/**
 * The coordinator sums the shards of a step with this. The last addition is left to the pass that uses the sum, where no
 * rounding follows it.
 */
export class TreeSum {
  readonly #backend: Backend;
  readonly #length: number;
  /** All buffers that this sum has allocated. */
  readonly #buffers = new Set<Storage>();
  /** Buffers that hold nothing. */
  #idle: Storage[] = [];
  /** Buffers into which vectors are being written, which `begin` leaves alone. */
  readonly #reserved = new Set<Storage>();
  readonly #additions: VectorAdder;
  #reduction: TreeReduction<VectorSum> | undefined;
  #result: VectorSum | undefined;

  /** @param length of every vector */
  constructor(backend: Backend, length: number) {
    this.#backend = backend;
    this.#length = length;
    this.#additions = new VectorAdder(backend);
  }

  /**
   * Begins a sum over `root`, whose microbatches from `usedMicrobatches` on are empty; drops the one before.
   * @param rounding of each node, of vectors [parameters + 2]
   */
  begin(root: Shard, usedMicrobatches: number, rounding?: NodeRounding): void {
    this.drop();
    this.#additions.roundAs(rounding);
    this.#reduction = new TreeReduction<VectorSum>({
      root,
      usedMicrobatches,
      combine: (left, right, { n }) => (n === root.n && !rounding ? { left, right } : this.#combine(left, right)),
    });
  }

  /** Drops the sum: its buffers hold nothing. */
  drop(): void {
    this.#reduction = undefined;
    this.#result = undefined;
    this.#idle = [...this.#buffers].filter((buffer) => !this.#reserved.has(buffer));
  }

  /** A buffer to write a vector into before `add`, which then copies nothing. The same one until then. */
  get free(): Storage {
    const last = this.#idle.at(-1);
    if (last) return last;
    const buffer = this.#backend.allocate(this.#length);
    this.#buffers.add(buffer);
    this.#idle.push(buffer);
    return buffer;
  }

  /** A buffer of the caller's own to write a vector into, until it is added or released. */
  reserve(): Storage {
    const buffer = this.#take();
    this.#reserved.add(buffer);
    return buffer;
  }

  /** How many buffers are reserved. */
  get reservedCount(): number {
    return this.#reserved.size;
  }

  /** Gives a reserved buffer back, whose vector is not added. */
  release(buffer: Storage): void {
    if (this.#reserved.delete(buffer)) this.#idle.push(buffer);
  }

  /**
   * Adds the sum over `shard`, in any order, each sample once. Vectors of the caller's own are read later: they must not
   * change until the next `begin`, and are not changed here.
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

  /** The whole sum once complete, until the next `begin`. @throws Error before */
  get result(): VectorSum {
    if (this.#result === undefined) throw new Error('tree sum: expected every shard, some are missing');
    return this.#result;
  }

  /** The whole sum in one vector. @throws Error before it is complete */
  vector(): Storage {
    const { result } = this;
    const [first] = vectorsOf(result);
    if (result === first) return first;
    const own = vectorsOf(result).find((vector) => this.#buffers.has(vector));
    this.#result = own ?? this.#take();
    this.#additions.run(result, this.#result);
    return this.#result;
  }

  /** Frees its own buffers. */
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

/** Adds the vectors of sums; each sum is prepared once. */
export class VectorAdder {
  /** What it adds with; its owner makes other passes of the same vectors with it. */
  readonly passes: RoundingPasses;
  readonly #outputs = new Map<Storage, PreparedSums>();

  constructor(backend: Backend) {
    this.passes = new RoundingPasses(backend);
  }

  /** Sets the rounding of the next sums. @returns whether calls that were made of `passes` are of no use any more */
  roundAs(rounding: NodeRounding | undefined): boolean {
    const isOther = this.passes.use(rounding);
    if (isOther) this.#disposePrograms();
    return isOther;
  }

  /** `output = sum`; it may be one of the sum's vectors. */
  run(sum: VectorSum, output: Storage): void {
    const known = this.#outputs.get(output);
    const programs = known ?? new PreparedSums((one) => this.passes.prepareSum(one, output));
    this.#outputs.set(output, programs);
    programs.of(sum).run();
  }

  dispose(): void {
    this.#disposePrograms();
    this.passes.dispose();
  }

  #disposePrograms(): void {
    for (const programs of this.#outputs.values()) programs.dispose();
    this.#outputs.clear();
  }
}
