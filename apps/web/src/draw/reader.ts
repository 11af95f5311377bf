/** Reads a drawing with the current model: asks for its weights while somebody draws, and scores the image. */
import type { WatchMessageFrom } from '@lockstep/protocol';
import { effect, signal, untracked } from '@preact/signals';
import type { Room, Run } from '../watch/room.ts';
import { digitImage, digitSize, type Stroke } from './digit.ts';
import type { Predictor } from './predictor.ts';

export interface Reading {
  /** As the network sees it. */
  readonly image: Uint8Array;
  /** Class scores before the softmax; absent until the model is here. */
  readonly scores?: Float32Array;
  /** Steps that the weights behind the scores have taken. */
  readonly step?: number;
}

export interface Reader {
  readonly reading: { readonly value: Reading };
  /** One sentence where drawings cannot be read. */
  readonly fault: { readonly value: string | undefined };
  /** Loads the engine and the model; called when somebody is about to draw. */
  wake(): void;
  /** Reads what is on the paper now. */
  show(strokes: readonly Stroke[], unit: number): void;
}

const emptyImage = new Uint8Array(digitSize * digitSize);

export function createReader(room: Room, send: (message: WatchMessageFrom<'viewer'>) => void): Reader {
  const reading = signal<Reading>({ image: emptyImage });
  const fault = signal<string | undefined>(undefined);
  let predictor: Predictor | undefined;
  let weightsStep: number | undefined;
  let isAwake = false;
  let isBlank = true;
  let isAsking = false;
  /** Drawings are scored one after another; only the newest one counts. */
  let newest = 0;

  const ask = (): void => {
    if (!isAwake || isAsking || !predictor || room.link.value.phase !== 'live') return;
    if (weightsStep !== undefined && (isBlank || weightsStep === room.progress.value?.step)) return;
    isAsking = true;
    send({ type: 'wantWeights' });
  };

  const score = async (): Promise<void> => {
    const turn = ++newest;
    const { image } = reading.value;
    if (!predictor || weightsStep === undefined || isBlank) return;
    const step = weightsStep;
    const scores = await predictor.scores(image);
    if (turn === newest) reading.value = { image, scores, step };
  };

  const open = async (model: unknown): Promise<void> => {
    try {
      const { openPredictor } = await import('./predictor.ts');
      const opened = await openPredictor(model);
      if (opened.inputSize !== digitSize * digitSize) {
        fault.value = `This model reads ${opened.inputSize} values, a drawing has ${digitSize * digitSize}.`;
        return;
      }
      predictor = opened;
      ask();
    } catch (error) {
      fault.value = `Drawings cannot be read here: ${error instanceof Error ? error.message : String(error)}.`;
    }
  };

  let model: string | undefined;
  const openModel = (run: Run): void => {
    if (!isAwake) return;
    const text = JSON.stringify(run.model);
    if (text === model) return;
    model = text;
    predictor = undefined;
    weightsStep = undefined;
    fault.value = undefined;
    void open(run.model);
  };

  effect(() => {
    const isLive = room.link.value.phase === 'live';
    const step = room.progress.value?.step;
    const run = room.run.value;
    untracked(() => {
      if (!isLive) isAsking = false;
      if (run) openModel(run);
      if (step !== undefined) ask();
    });
  });
  effect(() => {
    const { value: weights } = room.weights;
    if (!weights || !predictor) return;
    isAsking = false;
    predictor.setWeights(weights.bytes);
    weightsStep = weights.step;
    untracked(() => void score());
  });

  return {
    reading,
    fault,
    wake() {
      if (isAwake) return;
      isAwake = true;
      const { value: run } = room.run;
      if (run) openModel(run);
    },
    show(strokes, unit) {
      isBlank = strokes.length === 0;
      const image = isBlank ? emptyImage : digitImage(strokes, unit);
      const { scores, step } = reading.value;
      // The bars keep the last reading until the next is there: they move, and never flicker.
      reading.value = isBlank || !scores || step === undefined ? { image } : { image, scores, step };
      void score();
      ask();
    },
  };
}
