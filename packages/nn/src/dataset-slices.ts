/** Runs a model over a labeled data set in slices, so that a thread which serves others too stays responsive. */
import type { Backend, Storage } from '@lockstep/tensor';
import type { Model } from './model.ts';
import { parameterCount } from './parameters.ts';

export interface LabeledSamples {
  /** u8, one sample after another. */
  readonly images: Uint8Array;
  /** Class indices, [count]. */
  readonly labels: Uint8Array;
}

/** What a labeled plan and a prediction plan have in common. */
interface SlicePlan {
  readonly output: Storage;
  run(pixels: Uint8Array, labels: Uint8Array): void;
  dispose(): void;
}

type CreatePlan = (backend: Backend, model: Model, samples: number, parameters: Storage) => SlicePlan;

/** Samples in a slice: a few milliseconds of work for the small models of MNIST. */
const sliceSize = 250;

export class DatasetSlices {
  readonly #backend: Backend;
  readonly #model: Model;
  readonly #data: LabeledSamples;
  readonly #createPlan: CreatePlan;
  readonly #parameters: Storage;
  /** By the number of samples: whole slices, and a shorter last one. */
  readonly #plans = new Map<number, SlicePlan>();

  constructor(backend: Backend, model: Model, data: LabeledSamples, createPlan: CreatePlan) {
    this.#backend = backend;
    this.#model = model;
    this.#data = data;
    this.#createPlan = createPlan;
    this.#parameters = backend.allocate(parameterCount(model));
  }

  /**
   * Calls `read` with each slice's output and the index of its first sample, in order.
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  async run(
    weights: Float32Array,
    pause: () => Promise<void>,
    read: (output: Float32Array, first: number) => void,
  ): Promise<void> {
    const { images, labels } = this.#data;
    const count = labels.length;
    const size = images.length / count;
    this.#backend.upload(this.#parameters, weights);
    for (let from = 0; from < count; from += sliceSize) {
      const to = Math.min(count, from + sliceSize);
      const plan = this.#planFor(to - from);
      plan.run(images.subarray(from * size, to * size), labels.subarray(from, to));
      read(await this.#backend.download(plan.output), from);
      if (to < count) await pause();
    }
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#backend.free(this.#parameters);
  }

  #planFor(samples: number): SlicePlan {
    const plan = this.#plans.get(samples) ?? this.#createPlan(this.#backend, this.#model, samples, this.#parameters);
    this.#plans.set(samples, plan);
    return plan;
  }
}
