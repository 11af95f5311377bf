/** What is to be seen of the live network: the newest weights, and the chosen sample in them, computed in a thread. */
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

/** Computes until `close` is called. */
export function openInspection({ store, sample, requestWeights }: InspectionOptions) {
  const inspected = signal<Inspected>();
  const failure = signal<string>();
  /** Whether the weights stand still. */
  const isHeld = signal(false);
  /** Those whose view is shown. */
  let shownWeights: Uint8Array | undefined;
  const feed = openWeightsFeed({ store, isHeld, request: requestWeights });
  const fail = (message: string): void => {
    failure.value = message;
  };
  const inspector = openInspector((answer, { network: { weights } }) => {
    if (answer.type === 'failed') return fail(answer.message);
    failure.value = undefined;
    // Equal weights keep their view, which then is not painted again.
    const before = weights === shownWeights ? inspected.peek() : undefined;
    shownWeights = weights;
    inspected.value = { ...answer.inspected, weightView: (before ?? answer.inspected).weightView };
  }, fail);
  const stop = effect(() => {
    const [{ value: run }, { value: weights }, { value: chosen }] = [store.run, feed.weights, sample];
    if (!run || !weights) return;
    const { model, sampleShape, config } = run;
    const network = { model, sampleShape, optimizer: config.optimizer, weights: weights.bytes, step: weights.step };
    inspector.ask({ network, sample: chosen });
  });
  return {
    inspected: inspected as ReadonlySignal<Inspected | undefined>,
    /** Why the thread could not compute. */
    failure: failure as ReadonlySignal<string | undefined>,
    isHeld,
    close(): void {
      stop();
      feed.close();
      inspector.close();
    },
  };
}
