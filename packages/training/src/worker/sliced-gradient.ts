/** The gradient of a shard on one backend, computed slice by slice and added in the order of the fixed tree. */
import {
  createMicrobatchGradient,
  createShardGradient,
  type LabeledPlan,
  layerShapes,
  type Model,
  type PixelRows,
  parameterCount,
  type RandomKey,
} from '@lockstep/nn';
import type { Backend, Storage } from '@lockstep/tensor';
import { nextPowerOfTwo, type Shard } from '../tree.ts';
import { TreeSum } from '../tree-sum.ts';

/** Most samples that one plan computes at once; more would save little. */
const maxSamples = 512;
/** Most values between the layers that one plan computes at once, so that they stay in the processor's cache. */
const maxValues = 2 ** 20;

export class SlicedGradient {
  readonly model: Model;
  /** [parameters], which the caller uploads. */
  readonly parameters: Storage;
  readonly #backend: Backend;
  readonly #microbatchSize: number;
  /** Most whole microbatches that one plan computes. */
  readonly #maxMicrobatches: number;
  /** By number of samples: some whole microbatches, or the short last one of a batch. */
  readonly #plans = new Map<number, LabeledPlan>();
  readonly #total: Storage;
  readonly #sum: TreeSum;
  #count = 0;
  #root: Shard = { lo: 0, n: 1 };
  #result: Storage;

  constructor(backend: Backend, model: Model, microbatchSize: number) {
    this.#backend = backend;
    this.model = model;
    this.#microbatchSize = microbatchSize;
    this.parameters = backend.allocate(parameterCount(model));
    this.#total = backend.allocate(this.parameters.length + 2);
    this.#result = this.#total;
    this.#sum = new TreeSum(backend, this.#total);
    this.#maxMicrobatches = backend.microbatchSums ? Math.max(1, Math.floor(samplesAtOnce(model) / microbatchSize)) : 1;
  }

  /** Begins a shard of `count` samples; a shard that was begun before is dropped. */
  begin(count: number): void {
    const used = Math.ceil(count / this.#microbatchSize);
    this.#count = count;
    this.#root = { lo: 0, n: nextPowerOfTwo(used) };
    this.#result = this.#total;
    this.#sum.begin(this.#root, used);
  }

  /** The end of the slice from a sample on: the largest node of the tree of at most `samples`, at least a microbatch. */
  sliceEnd(from: number, samples: number): number {
    const size = this.#microbatchSize;
    const lo = from / size;
    const whole = Math.floor(this.#count / size);
    if (lo === whole) return this.#count;
    const most = Math.min(this.#maxMicrobatches, samples / size);
    let n = 1;
    while (2 * n <= most && lo % (2 * n) === 0 && lo + 2 * n <= whole) n *= 2;
    return from + n * size;
  }

  /** Computes the slice of samples `[from, to)`, with their pixels, labels and key, and adds it. */
  add(from: number, to: number, pixels: Uint8Array | PixelRows, labels: Uint8Array, key: RandomKey): void {
    const plan = this.#planFor(to - from);
    plan.run(pixels, labels, key);
    const node = { lo: from / this.#microbatchSize, n: Math.ceil((to - from) / this.#microbatchSize) };
    if (node.n === this.#root.n) this.#result = plan.output;
    else this.#sum.add(node, plan.output);
  }

  /** [parameters + 2], once every slice was added: the gradient, then the sums of losses and of correct answers. */
  get result(): Storage {
    return this.#result;
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#sum.dispose();
    this.#backend.free(this.#total);
    this.#backend.free(this.parameters);
  }

  #planFor(samples: number): LabeledPlan {
    const known = this.#plans.get(samples);
    if (known) return known;
    const microbatchSize = this.#microbatchSize;
    const microbatches = samples / microbatchSize;
    const plan =
      microbatches > 1
        ? createShardGradient(this.#backend, this.model, { microbatches, microbatchSize }, this.parameters)
        : createMicrobatchGradient(this.#backend, this.model, samples, this.parameters);
    this.#plans.set(samples, plan);
    return plan;
  }
}

function samplesAtOnce(model: Model): number {
  const values = layerShapes(model).reduce((sum, shape) => sum + shape.reduce((size, length) => size * length, 1), 0);
  return Math.min(maxSamples, Math.floor(maxValues / values));
}
