/** What is to be seen of the live network: the newest weights, and the chosen sample in them, computed in a thread. */
import type { LabeledSample } from '@lockstep/lesson';
import { effect, type ReadonlySignal, signal } from '@preact/signals';
import { openThread } from '../learn/open-thread.ts';
import type { RunStore } from '../watch/run-store.ts';
import type { InspectAnswer, Inspected, InspectRequest } from './messages.ts';
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
  const feed = openWeightsFeed({ store, isHeld, request: requestWeights });
  let isBusy = false;
  /** What came while the thread was computing; only the newest counts. */
  let next: InspectRequest | undefined;

  const thread = openThread<InspectAnswer>(
    (answer) => {
      isBusy = false;
      failure.value = answer.type === 'failed' ? answer.message : undefined;
      if (answer.type === 'inspected') inspected.value = answer.inspected;
      if (next) send(next);
    },
    (message) => {
      failure.value = message;
    },
  );
  const send = (request: InspectRequest): void => {
    next = undefined;
    isBusy = true;
    thread.postMessage(request);
  };
  const stop = effect(() => {
    const { value: run } = store.run;
    const { value: weights } = feed.weights;
    const { value: chosen } = sample;
    if (!run || !weights) return;
    const { model, sampleShape, config } = run;
    const network = { model, sampleShape, optimizer: config.optimizer, weights: weights.bytes, step: weights.step };
    const request: InspectRequest = { network, sample: chosen };
    if (isBusy) next = request;
    else send(request);
  });
  return {
    inspected: inspected as ReadonlySignal<Inspected | undefined>,
    /** Why the thread could not compute. */
    failure: failure as ReadonlySignal<string | undefined>,
    isHeld,
    close(): void {
      stop();
      feed.close();
      thread.terminate();
    },
  };
}

export type Inspection = ReturnType<typeof openInspection>;
