/** Continues a person's beginning with the model of this very moment, and writes again as the model learns. */
import { errorMessage } from '@lockstep/data/shown';
import { effect, signal, untracked } from '@preact/signals';
import { importFailure } from '../look/format.ts';
import type { RunStore } from '../watch/run-store.ts';
import { openWeightsFeed, type Weights } from '../watch/weights-feed.ts';
import type { Beginning, Writer } from './writer.ts';

interface Continued {
  readonly prompt: string;
  readonly text: string;
  /** Steps that the model has taken. */
  readonly step: number;
}

/** Number of tokens that the model writes. */
const length = 240;
/** Part of a frame of 16 ms that may go into tokens, so that the page stays smooth. */
const budgetMs = 6;

export class Writing {
  readonly beginning = signal<Beginning>({ prompt: '', temperature: 0.8, seed: 1 });
  readonly continued = signal<Continued>();
  /** Why the model cannot continue the beginning. */
  readonly fault = signal('');
  readonly #store: RunStore;
  readonly #request: () => void;
  #closing: (() => void) | undefined;
  #frame = 0;
  /** Whether a text is being written. */
  #isBusy = false;
  /** The beginning of the newest text. */
  #last: Beginning | undefined;
  /** Writes again with newer weights. */
  #next: (() => void) | undefined;

  /** @param request asks the coordinator for the current weights, which then arrive in `store` */
  constructor(store: RunStore, request: () => void) {
    this.#store = store;
    this.#request = request;
  }

  /** Begins to write; called when a person is about to. Loads the engine. */
  open(): void {
    if (this.#closing) return;
    const { run } = this.#store;
    const feed = openWeightsFeed({ store: this.#store, request: this.#request });
    const writer = signal<Writer>();
    const stopLoading = effect(() => {
      const { value: about } = run;
      writer.value = undefined;
      if (!about) return;
      import('./writer.ts')
        .catch((error: unknown) => {
          throw new Error(importFailure(error));
        })
        .then(({ openWriter }) => openWriter(about))
        .then((opened) => {
          if (run.peek() === about) writer.value = opened;
        })
        .catch((error: unknown) => {
          this.fault.value = `The model cannot write here: ${errorMessage(error)}.`;
        });
    });
    const stopWriting = effect(() => {
      const [{ value: opened }, { value: weights }, { value: beginning }] = [writer, feed.weights, this.beginning];
      if (opened && weights) untracked(() => this.#begin(opened, weights, beginning));
    });
    this.#closing = () => {
      stopWriting();
      stopLoading();
      feed.close();
      cancelAnimationFrame(this.#frame);
    };
  }

  close(): void {
    this.#closing?.();
    this.#closing = undefined;
  }

  /** Newer weights wait until the text is complete, and the text of older ones stays until theirs is. */
  #begin(writer: Writer, weights: Weights, beginning: Beginning): void {
    const { continued, fault } = this;
    const isSame = beginning === this.#last;
    if (isSame && this.#isBusy) {
      this.#next = () => this.#begin(writer, weights, beginning);
      return;
    }
    this.#last = beginning;
    this.#next = undefined;
    this.#isBusy = true;
    cancelAnimationFrame(this.#frame);
    let pieces: Iterator<string>;
    try {
      pieces = writer.write(weights.bytes, beginning);
      fault.value = '';
    } catch (error) {
      fault.value = errorMessage(error);
      this.#isBusy = false;
      return;
    }
    let [text, count] = ['', 0];
    const goOn = (): void => {
      const endMs = performance.now() + budgetMs;
      for (; count < length && performance.now() < endMs; count++) text += pieces.next().value ?? '';
      const isDone = count === length;
      if (!isSame || isDone) continued.value = { prompt: beginning.prompt, text, step: weights.step };
      if (!isDone) {
        this.#frame = requestAnimationFrame(goOn);
        return;
      }
      this.#isBusy = false;
      this.#next?.();
    };
    this.#frame = requestAnimationFrame(goOn);
  }
}
