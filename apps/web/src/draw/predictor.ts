/** Predicts a person's samples with the current model, and requests its weights as they change. */
import type { SampleValues } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import type { WatchMessageOf } from '@lockstep/protocol';
import { effect, signal, untracked } from '@preact/signals';
import { importFailure } from '../look/format.ts';
import type { RunStore } from '../watch/run-store.ts';
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
  #inference: Inference | undefined;
  #modelJson: string | undefined;
  #weightsStep: number | undefined;
  #isActive = false;
  #isRequestPending = false;
  /** Counts inferences; all results but the newest one's are dropped. */
  #newest = 0;

  /** @param requestWeights asks the coordinator for the current weights, which then arrive in `store` */
  constructor(store: RunStore, requestWeights: () => void) {
    this.#store = store;
    this.#requestWeights = requestWeights;
    effect(() => {
      const isLive = store.connection.value.phase === 'live';
      const [run, progress] = [store.run.value, store.progress.value];
      untracked(() => {
        if (!isLive) this.#isRequestPending = false;
        if (run) void this.#openModel();
        if (progress) this.#refreshWeights();
      });
    });
    effect(() => {
      const { value: weights } = store.weights;
      if (weights) untracked(() => this.#setWeights(weights));
    });
  }

  /** Loads the engine and the model; called when a person is about to draw or type. */
  activate(): void {
    if (this.#isActive) return;
    this.#isActive = true;
    void this.#openModel();
  }

  show(sample: Prediction['sample']): void {
    const { output } = this.prediction.peek();
    // The last output stays until the next one arrives, so that the bars do not flicker.
    this.prediction.value = { sample, ...(output && sample ? { output } : {}) };
    void this.#predict();
    this.#refreshWeights();
  }

  async #openModel(): Promise<void> {
    const { value: run } = this.#store.run;
    const json = JSON.stringify(run?.model);
    if (!this.#isActive || !run || json === this.#modelJson) return;
    this.#modelJson = json;
    this.#inference = undefined;
    this.#weightsStep = undefined;
    this.error.value = undefined;
    this.prediction.value = { sample: this.prediction.peek().sample };
    try {
      const { openInference } = await import('./inference.ts').catch((error: unknown) => {
        throw new Error(importFailure(error));
      });
      const inference = await openInference(run.model);
      if (json !== this.#modelJson) return;
      this.#inference = inference;
      const { value: weights } = this.#store.weights;
      if (weights) this.#setWeights(weights);
      this.#refreshWeights();
    } catch (error) {
      // The page tries again when it hears of the run.
      if (json === this.#modelJson) this.#modelJson = undefined;
      this.error.value = `The model cannot be used here: ${errorMessage(error)}.`;
    }
  }

  /** Requests weights if there are none yet, or if there is a sample and the model has been trained further. */
  #refreshWeights(): void {
    const { connection, progress } = this.#store;
    if (!this.#inference || this.#isRequestPending || connection.value.phase !== 'live') return;
    if (
      this.#weightsStep !== undefined &&
      (!this.prediction.peek().sample || this.#weightsStep === progress.value?.step)
    )
      return;
    this.#isRequestPending = true;
    this.#requestWeights();
  }

  #setWeights({ bytes, step }: WatchMessageOf<'weights'>): void {
    this.#isRequestPending = false;
    if (!this.#inference) return;
    this.#inference.setWeights(bytes);
    this.#weightsStep = step;
    void this.#predict();
  }

  async #predict(): Promise<void> {
    const own = ++this.#newest;
    const step = this.#weightsStep;
    const { sample } = this.prediction.peek();
    // The sample may belong to an earlier run with other data.
    if (!this.#inference || step === undefined || sample?.length !== this.#inference.inputSize) return;
    const logits = await this.#inference.logits(sample);
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
