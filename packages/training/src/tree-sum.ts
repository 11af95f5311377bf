/** Sums vectors in the order of the fixed tree, as they become ready and in as few buffers as that needs. */
import { apply, type Backend, input, type KernelCall, type Program, type Storage } from '@lockstep/tensor';
import type { Shard } from './tree.ts';
import { TreeReduction } from './tree-reduction.ts';

/** Workers sum the microbatches of a shard with this, and the coordinator the shards of a step. */
export class TreeSum {
  readonly #backend: Backend;
  readonly #total: Storage;
  /** All buffers that this sum has allocated. */
  readonly #buffers = new Set<Storage>();
  /** Buffers that hold nothing; until the sum is complete, `total` is one like any other. */
  #idle: Storage[] = [];
  readonly #additions: PreparedAdditions;
  #reduction: TreeReduction<Storage> | undefined;
  #complete = false;

  /** @param total where the whole sum is left, the caller's own; its length is that of every vector */
  constructor(backend: Backend, total: Storage) {
    this.#backend = backend;
    this.#total = total;
    this.#additions = new PreparedAdditions(backend);
  }

  /** Begins a sum over `root`, whose microbatches from `usedMicrobatches` on are empty; drops an unfinished sum. */
  begin(root: Shard, usedMicrobatches: number): void {
    this.#complete = false;
    this.#idle = [...this.#buffers, this.#total];
    this.#reduction = new TreeReduction<Storage>({
      root,
      usedMicrobatches,
      combine: (left, right, parent) => this.#combine(left, right, parent.n === root.n),
      retain: (vector) => this.#retain(vector),
    });
  }

  /** A buffer to write a vector into before `add`, which then copies nothing. The same one until then. */
  get free(): Storage {
    const last = this.#idle.at(-1);
    if (last) return last;
    const buffer = this.#backend.allocate(this.#total.length);
    this.#buffers.add(buffer);
    this.#idle.push(buffer);
    return buffer;
  }

  /** Adds the sum over `shard`, in any order, each sample once. A vector of the caller's own is read before this returns. */
  add(shard: Shard, vector: Storage): void {
    if (vector === this.#idle.at(-1)) this.#idle.pop();
    const sum = this.#reduction?.add(shard, vector);
    if (sum === undefined) return;
    if (sum !== this.#total) this.#additions.run(sum, undefined, this.#total);
    this.#idle = [...this.#buffers];
    this.#complete = true;
  }

  /** Whether every shard has been added, and `total` holds the whole sum. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Frees its own buffers; `total` stays the caller's. */
  dispose(): void {
    this.#additions.dispose();
    for (const buffer of this.#buffers) this.#backend.free(buffer);
    this.#buffers.clear();
    this.#idle = [];
  }

  #combine(left: Storage, right: Storage, isRoot: boolean): Storage {
    const output = isRoot ? this.#total : this.#isOwn(left) ? left : right;
    this.#additions.run(left, right, output);
    for (const vector of [left, right]) if (vector !== output && this.#isOwn(vector)) this.#idle.push(vector);
    return output;
  }

  /** What waits for its sibling lies in a buffer of this sum. */
  #retain(vector: Storage): Storage {
    if (this.#isOwn(vector)) return vector;
    const buffer = this.free;
    this.#idle.pop();
    this.#additions.run(vector, undefined, buffer);
    return buffer;
  }

  #isOwn(vector: Storage): boolean {
    return vector === this.#total || this.#buffers.has(vector);
  }
}

/** Additions and copies of whole vectors, each prepared once: `output = left + right`, or `output = left`. */
class PreparedAdditions {
  readonly #backend: Backend;
  readonly #programs = new Map<Storage, Map<Storage | undefined, Map<Storage, Program>>>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  run(left: Storage, right: Storage | undefined, output: Storage): void {
    const ofLeft = getOrCreate(this.#programs, left, () => new Map<Storage | undefined, Map<Storage, Program>>());
    const ofRight = getOrCreate(ofLeft, right, () => new Map<Storage, Program>());
    getOrCreate(ofRight, output, () => this.#backend.prepare([additionCall(left, right, output)])).run();
  }

  dispose(): void {
    for (const ofLeft of this.#programs.values()) {
      for (const ofRight of ofLeft.values()) for (const program of ofRight.values()) program.dispose();
    }
    this.#programs.clear();
  }
}

function additionCall(left: Storage, right: Storage | undefined, output: Storage): KernelCall {
  const storages = right === undefined ? [left] : [left, right];
  return {
    kind: 'map',
    formula: right === undefined ? input(0) : apply('add', input(0), input(1)),
    shape: [output.length],
    inputs: storages.map((storage) => ({ storage, strides: [1] })),
    output,
  };
}

function getOrCreate<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = create();
  map.set(key, value);
  return value;
}
