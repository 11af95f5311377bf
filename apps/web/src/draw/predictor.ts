/** Predictions of the current model for samples that a person gives; requests its weights meanwhile. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { effect, signal, untracked } from '@preact/signals';
import type { RunStore } from '../watch/run-store.ts';
import type { Inference } from './inference.ts';
import { Sketch } from './sketch.ts';

export interface Prediction {
  /** Undefined while nothing is drawn or typed that a model could see. */
  readonly sample: Uint8Array | Float32Array | undefined;
  /** Absent until the model has seen a sample. */
  readonly output?: {
    readonly logits: Float32Array;
    /** Steps that the model's weights had taken. */
    readonly step: number;
  };
}

export class Predictor {
  readonly prediction = signal<Prediction>({ sample: undefined });
  /** The drawing, on a canvas of `canvasSide`. */
  readonly sketch = new Sketch();
  /** Why this page cannot tell what the model makes of a sample. */
  readonly error = signal<string>();
  readonly #store: RunStore;
  readonly #requestWeights: () => void;
  #inference: Inference | undefined;
  #modelJson: string | undefined;
  #weightsStep: number | undefined;
  #isActive = false;
  #isRequestPending = false;
  /** Counts inferences: the result of all but the last is dropped. */
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

  /** Loads the engine and the model; called when a person is about to draw or to type. */
  activate(): void {
    if (this.#isActive) return;
    this.#isActive = true;
    void this.#openModel();
  }

  show(sample: Prediction['sample']): void {
    const { output } = this.prediction.peek();
    // The last output stays until the next is there, so that the bars move and do not flicker.
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
      const { openInference } = await import('./inference.ts');
      const inference = await openInference(run.model);
      if (json !== this.#modelJson) return;
      this.#inference = inference;
      const { value: weights } = this.#store.weights;
      if (weights) this.#setWeights(weights);
      this.#refreshWeights();
    } catch (error) {
      // With the server gone it is not loaded: the page tries again when it hears of the run.
      if (json === this.#modelJson) this.#modelJson = undefined;
      this.error.value = `The model cannot be used here: ${error instanceof Error ? error.message : String(error)}.`;
    }
  }

  /** Requests weights if there are none yet, or if there is a sample and the model has moved on. */
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
    // The sample may be one of a run before, on other data.
    if (!this.#inference || step === undefined || sample?.length !== this.#inference.inputSize) return;
    const logits = await this.#inference.logits(sample);
    if (own === this.#newest) this.prediction.value = { sample, output: { logits, step } };
  }
}
