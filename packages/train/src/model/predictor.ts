/** Predicts the classes of any number of samples with few compiled plans. */
import {
  argmax,
  createPrediction,
  inputSize,
  type Model,
  type ModelDescription,
  parameterCount,
  probabilitiesOf,
} from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';

export interface Prediction {
  /** The name of the class with the largest score, the first of equals. */
  readonly class: string;
  /** Its number, from 0. */
  readonly index: number;
  /** What the softmax gives it, 0 to 1. */
  readonly probability: number;
  /** [classes], before the softmax. */
  readonly scores: Float32Array;
  /** The softmax of the scores, [classes]. */
  readonly probabilities: readonly number[];
}

type Plan = ReturnType<typeof createPrediction>;

/** A power of two. */
const mostSamples = 256;

export class Predictor {
  /** Values in one sample. */
  readonly sampleSize: number;
  readonly #backend: HostBackend;
  readonly #model: Model;
  readonly #classes: readonly string[];
  readonly #parameters: Storage;
  /** By their number of samples, a power of two: nine plans serve every count. */
  readonly #plans = new Map<number, Plan>();
  #isDisposed = false;

  /** @param description of the model whose `weights` [parameters] these are */
  constructor(
    backend: HostBackend,
    { model, classes, weights }: ModelDescription & { readonly weights: Float32Array },
  ) {
    this.sampleSize = inputSize(model);
    this.#backend = backend;
    this.#model = model;
    this.#classes = classes;
    this.#parameters = backend.allocate(parameterCount(model));
    backend.upload(this.#parameters, weights);
  }

  async predict(samples: Uint8Array): Promise<Prediction[]> {
    this.requireOpen();
    const count = samples.length / this.sampleSize;
    if (!Number.isInteger(count)) {
      throw new Error(`predict: expected samples of ${this.sampleSize} values each, got ${samples.length} values`);
    }
    const predictions: Prediction[] = [];
    for (let from = 0; from < count; ) {
      const size = Math.min(mostSamples, 2 ** Math.floor(Math.log2(count - from)));
      const plan = this.#plan(size);
      plan.run(samples.subarray(from * this.sampleSize, (from + size) * this.sampleSize));
      const scores = this.#backend.view(plan.output).slice();
      for (let row = 0; row < size; row++) predictions.push(this.#read(scores, row));
      from += size;
    }
    return predictions;
  }

  requireOpen(): void {
    if (this.#isDisposed) throw new Error('model: expected one that is in use, got one that was disposed of');
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const plan of this.#plans.values()) plan.dispose();
    this.#backend.free(this.#parameters);
  }

  #plan(size: number): Plan {
    const plan = this.#plans.get(size) ?? createPrediction(this.#backend, this.#model, size, this.#parameters);
    this.#plans.set(size, plan);
    return plan;
  }

  #read(batch: Float32Array, row: number): Prediction {
    const scores = batch.slice(row * this.#classes.length, (row + 1) * this.#classes.length);
    const index = argmax(scores);
    const probabilities = probabilitiesOf(scores);
    return { class: this.#classes[index]!, index, probability: probabilities[index]!, scores, probabilities };
  }
}
