/** Inspects the live network: its newest weights and the chosen sample, computed in the lesson's thread. */
import type { LabeledSample } from '@lockstep/lesson';
import { effect, type ReadonlySignal, signal } from '@preact/signals';
import { openThread } from '../learn/computation.ts';
import type { Inspected, InspectedText, InspectRequest } from '../learn/messages.ts';
import type { RunStore } from '../watch/run-store.ts';
import { openWeightsFeed } from '../watch/weights-feed.ts';

interface InspectionOptions {
  readonly store: RunStore;
  readonly sample: ReadonlySignal<LabeledSample | undefined>;
  readonly text: ReadonlySignal<InspectedText | undefined>;
  readonly requestWeights: () => void;
}

/** Inspects the network until `close` is called. */
export function openInspection({ store, sample, text, requestWeights }: InspectionOptions) {
  const inspected = signal<Inspected>();
  const failure = signal<string>();
  /** The weights of the view that is shown. */
  let shownWeights: Uint8Array | undefined;
  /** The request that the thread computes, and the newest one after it. */
  let current: InspectRequest | undefined;
  let next: InspectRequest | undefined;
  const feed = openWeightsFeed({ store, request: requestWeights });
  const thread = openThread((answer) => {
    failure.value = answer.type === 'failed' ? answer.message : undefined;
    if (answer.type === 'inspected') {
      // Unchanged weights keep their view, so that it is not painted again.
      const before = current!.weights === shownWeights ? inspected.peek() : undefined;
      shownWeights = current!.weights;
      inspected.value = { ...answer.inspected, weightView: (before ?? answer.inspected).weightView };
    }
    current = undefined;
    if (next) ask(next);
  });
  const ask = (request: InspectRequest): void => {
    next = current && request;
    if (next) return;
    current = request;
    thread.postMessage(request);
  };
  const stop = effect(() => {
    const [{ value: run }, { value: weights }, { value: chosen }] = [store.run, feed.weights, sample];
    const { value: written } = text;
    if (!run || !weights) return;
    const { model, sampleField } = run;
    ask({
      type: 'inspect',
      model,
      sampleShape: sampleField.shape,
      weights: weights.bytes,
      step: weights.step,
      sample: chosen,
      text: written,
    });
  });
  return {
    inspected: inspected as ReadonlySignal<Inspected | undefined>,
    /** Why the thread could not compute. */
    failure: failure as ReadonlySignal<string | undefined>,
    close(): void {
      stop();
      feed.close();
      thread.terminate();
    },
  };
}
