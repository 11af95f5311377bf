/** Predicts classes or values of any number of samples with few compiled plans. */
import {
  argmax,
  createPrediction,
  inputSize,
  type Model,
  type ModelDescription,
  parameterCount,
  probabilitiesOf,
  restoreValues,
  type SampleValues,
} from '@lockstep/nn';
import type { HostBackend, Storage } from '@lockstep/tensor';

/** What a model of classes gives for one sample. */
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
  readonly #targets: ModelDescription['targets'];
  readonly #scaling: ModelDescription['scaling'];
  readonly #parameters: Storage;
  /** By their number of samples, a power of two: nine plans serve every count. */
  readonly #plans = new Map<number, Plan>();
  #isDisposed = false;

  /** @param description of the model whose `weights` [parameters] these are */
  constructor(
    backend: HostBackend,
    { model, targets, scaling, weights }: ModelDescription & { readonly weights: Float32Array },
  ) {
    this.sampleSize = inputSize(model);
    this.#backend = backend;
    this.#model = model;
    this.#targets = targets;
    this.#scaling = scaling;
    this.#parameters = backend.allocate(parameterCount(model));
    backend.upload(this.#parameters, weights);
  }

  async predict(samples: SampleValues): Promise<Prediction[]> {
    this.requireOpen();
    const { type, names } = this.#targets;
    if (type !== 'classes')
      throw new Error('predict: expected a model of classes, got one of values: use predictValues');
    return this.#outputs(samples).map((scores) => predictionOf(scores, names));
  }

  async predictValues(samples: SampleValues): Promise<Float32Array[]> {
    this.requireOpen();
    if (this.#targets.type !== 'values') {
      throw new Error('predictValues: expected a model of values, got one of classes: use predict');
    }
    return this.#outputs(samples).map((values) => restoreValues(values, this.#targets.standardization));
  }

  /** @throws Error where the model was trained on samples of another type */
  requireType(what: string, samples: SampleValues): void {
    const expected = this.#scaling.type === 'byte' ? 'Uint8Array' : 'Float32Array';
    const got = samples instanceof Uint8Array ? 'Uint8Array' : 'Float32Array';
    if (got !== expected) throw new Error(`${what}: expected samples in a ${expected}, as in training, got a ${got}`);
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

  /** Of each sample the outputs of the last layer, in memory of their own. */
  #outputs(samples: SampleValues): Float32Array[] {
    this.requireType('predict', samples);
    const count = samples.length / this.sampleSize;
    if (!Number.isInteger(count)) {
      throw new Error(`predict: expected samples of ${this.sampleSize} values each, got ${samples.length} values`);
    }
    const { length } = this.#targets.names;
    const outputs: Float32Array[] = [];
    for (let from = 0; from < count; ) {
      const size = Math.min(mostSamples, 2 ** Math.floor(Math.log2(count - from)));
      const plan = this.#plan(size);
      plan.run(samples.subarray(from * this.sampleSize, (from + size) * this.sampleSize));
      const batch = this.#backend.view(plan.output);
      for (let row = 0; row < size; row++) outputs.push(batch.slice(row * length, (row + 1) * length));
      from += size;
    }
    return outputs;
  }
}

function predictionOf(scores: Float32Array, classes: readonly string[]): Prediction {
  const index = argmax(scores);
  const probabilities = probabilitiesOf(scores);
  return { class: classes[index]!, index, probability: probabilities[index]!, scores, probabilities };
}
