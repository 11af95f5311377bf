/** Inspects the live network: its newest weights and the chosen sample, computed in a thread. */
import type { LabeledSample } from '@lockstep/lesson';
import { effect, type ReadonlySignal, signal } from '@preact/signals';
import type { RunStore } from '../watch/run-store.ts';
import { openInspector } from './inspector.ts';
import type { Inspected } from './messages.ts';
import { openWeightsFeed } from './weights-feed.ts';

interface InspectionOptions {
  readonly store: RunStore;
  readonly sample: ReadonlySignal<LabeledSample | undefined>;
  readonly requestWeights: () => void;
}

/** Inspects the network until `close` is called. */
export function openInspection({ store, sample, requestWeights }: InspectionOptions) {
  const inspected = signal<Inspected>();
  const failure = signal<string>();
  /** The weights of the view that is shown. */
  let shownWeights: Uint8Array | undefined;
  const feed = openWeightsFeed({ store, request: requestWeights });
  const fail = (message: string): void => {
    failure.value = message;
  };
  const inspector = openInspector((answer, { network: { weights } }) => {
    if (answer.type === 'failed') return fail(answer.message);
    failure.value = undefined;
    // Unchanged weights keep their view, so that it is not painted again.
    const before = weights === shownWeights ? inspected.peek() : undefined;
    shownWeights = weights;
    inspected.value = { ...answer.inspected, weightView: (before ?? answer.inspected).weightView };
  }, fail);
  const stop = effect(() => {
    const [{ value: run }, { value: weights }, { value: chosen }] = [store.run, feed.weights, sample];
    if (!run || !weights) return;
    const { model, sampleShape } = run;
    const network = { model, sampleShape, weights: weights.bytes, step: weights.step };
    inspector.ask({ network, sample: chosen });
  });
  return {
    inspected: inspected as ReadonlySignal<Inspected | undefined>,
    /** Why the thread could not compute. */
    failure: failure as ReadonlySignal<string | undefined>,
    close(): void {
      stop();
      feed.close();
      inspector.close();
    },
  };
}
