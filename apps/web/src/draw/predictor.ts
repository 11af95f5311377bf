/** Classifies drawings with the current model, whose weights it requests while a person draws. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { effect, signal, untracked } from '@preact/signals';
import type { RunStore } from '../watch/run-store.ts';
import { digitImage, digitSize, type Stroke } from './digit-image.ts';
import type { Inference } from './inference.ts';

export interface Prediction {
  /** The drawing as the network's input: u8, `digitSize` x `digitSize`. */
  readonly image: Uint8Array;
  /** Absent until the model has seen a drawing. */
  readonly output?: {
    readonly logits: Float32Array;
    /** Steps that the model's weights had taken. */
    readonly step: number;
  };
}

const imageSize = digitSize * digitSize;

export class Predictor {
  readonly prediction = signal<Prediction>({ image: new Uint8Array(imageSize) });
  /** The last drawing, on a canvas of `canvasSide`. */
  readonly strokes = signal<readonly Stroke[]>([]);
  /** Why this page cannot classify drawings. */
  readonly error = signal<string>();
  readonly #store: RunStore;
  readonly #requestWeights: () => void;
  #inference: Inference | undefined;
  #modelJson: string | undefined;
  #weightsStep: number | undefined;
  #isActive = false;
  #isBlank = true;
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

  /** Loads the engine and the model; called when a person is about to draw. */
  activate(): void {
    if (this.#isActive) return;
    this.#isActive = true;
    void this.#openModel();
  }

  /** @param unit side of the canvas, in the strokes' unit */
  show(strokes: readonly Stroke[], unit: number): void {
    this.#isBlank = strokes.length === 0;
    this.strokes.value = strokes;
    const { output } = this.prediction.value;
    // The last output stays until the next is there, so that the bars move and do not flicker.
    this.prediction.value = { image: digitImage(strokes, unit), ...(output && !this.#isBlank ? { output } : {}) };
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
    try {
      const { openInference } = await import('./inference.ts');
      const inference = await openInference(run.model);
      if (json !== this.#modelJson) return;
      if (inference.inputSize === imageSize) this.#inference = inference;
      else this.error.value = `This model takes ${inference.inputSize} values, a drawing has ${imageSize}.`;
      const { value: weights } = this.#store.weights;
      if (weights && this.#inference) this.#setWeights(weights);
      this.#refreshWeights();
    } catch (error) {
      // With the server gone it is not loaded: the page tries again when it hears of the run.
      if (json === this.#modelJson) this.#modelJson = undefined;
      this.error.value = `Drawings cannot be read here: ${error instanceof Error ? error.message : String(error)}.`;
    }
  }

  /** Requests weights where there are none yet, or where there is a drawing and the model has moved on. */
  #refreshWeights(): void {
    const { connection, progress } = this.#store;
    if (!this.#inference || this.#isRequestPending || connection.value.phase !== 'live') return;
    if (this.#weightsStep !== undefined && (this.#isBlank || this.#weightsStep === progress.value?.step)) return;
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
    const { image } = this.prediction.value;
    if (!this.#inference || step === undefined || this.#isBlank) return;
    const logits = await this.#inference.logits(image);
    if (own === this.#newest) this.prediction.value = { image, output: { logits, step } };
  }
}
