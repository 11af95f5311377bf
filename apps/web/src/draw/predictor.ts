/** Predicts a person's samples with the current model, whose weights it follows. */
import type { SampleValues } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import { computed, effect, signal } from '@preact/signals';
import { importFailure } from '../look/format.ts';
import type { RunStore } from '../watch/run-store.ts';
import { openWeightsFeed } from '../watch/weights-feed.ts';
import type { Inference } from './inference.ts';
import { Sketch } from './sketch.ts';

interface Prediction {
  /** Undefined until a sample is drawn or typed that the model can read. */
  readonly sample: SampleValues | undefined;
  /** Absent until the model has predicted a sample. */
  readonly output?: {
    readonly logits: Float32Array;
    /** Number of steps that produced the model's weights. */
    readonly step: number;
  };
}

export class Predictor {
  readonly prediction = signal<Prediction>({ sample: undefined });
  /** The drawing, on a canvas of side `canvasSide`. */
  readonly sketch = new Sketch();
  /** Why this page cannot predict a sample. */
  readonly error = signal<string>();
  readonly #store: RunStore;
  readonly #requestWeights: () => void;
  readonly #inference = signal<Inference>();
  #modelJson: string | undefined;
  /** Number of steps that produced the weights of the inference; undefined before it has any. */
  #step: number | undefined;
  #isActive = false;
  /** Counts inferences; all results but the newest one's are dropped. */
  #newest = 0;

  /** @param requestWeights asks the coordinator for the current weights, which then arrive in `store` */
  constructor(store: RunStore, requestWeights: () => void) {
    this.#store = store;
    this.#requestWeights = requestWeights;
  }

  /** Loads the engine, the model and its weights; called when a person is about to draw or type. */
  activate(): void {
    if (this.#isActive) return;
    this.#isActive = true;
    const isFollowed = computed(() => this.prediction.value.sample !== undefined);
    const feed = openWeightsFeed({ store: this.#store, request: this.#requestWeights, isFollowed });
    effect(() => {
      const { value: run } = this.#store.run;
      if (run) void this.#openModel(run.model);
    });
    effect(() => {
      const [{ value: inference }, { value: weights }] = [this.#inference, feed.weights];
      if (!inference || !weights) return;
      inference.setWeights(weights.bytes);
      this.#step = weights.step;
      void this.#predict();
    });
  }

  show(sample: Prediction['sample']): void {
    const { output } = this.prediction.peek();
    // The last output stays until the next one arrives, so that the bars do not flicker.
    this.prediction.value = { sample, ...(output && sample ? { output } : {}) };
    void this.#predict();
  }

  async #openModel(model: unknown): Promise<void> {
    const json = JSON.stringify(model);
    if (json === this.#modelJson) return;
    this.#modelJson = json;
    this.#inference.value = undefined;
    this.#step = undefined;
    this.error.value = undefined;
    this.prediction.value = { sample: this.prediction.peek().sample };
    try {
      const { openInference } = await import('./inference.ts').catch((error: unknown) => {
        throw new Error(importFailure(error));
      });
      const inference = await openInference(model);
      if (json === this.#modelJson) this.#inference.value = inference;
    } catch (error) {
      // The page tries again when it hears of the run.
      if (json === this.#modelJson) this.#modelJson = undefined;
      this.error.value = `The model cannot be used here: ${errorMessage(error)}.`;
    }
  }

  async #predict(): Promise<void> {
    const own = ++this.#newest;
    const step = this.#step;
    const { sample } = this.prediction.peek();
    const inference = this.#inference.peek();
    // The sample may belong to an earlier run with other data.
    if (!inference || step === undefined || sample?.length !== inference.inputSize) return;
    const logits = await inference.logits(sample);
    if (own === this.#newest) this.prediction.value = { sample, output: { logits, step } };
  }
}

/**
 * Softmax of `logits / temperature`: a low temperature sharpens the distribution, a high one flattens it.
 * @param temperature above 0
 */
export function softmaxAt(logits: ArrayLike<number>, temperature: number): number[] {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const highest = Math.max(...scaled);
  const exponentials = scaled.map((value) => Math.exp(value - highest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}
