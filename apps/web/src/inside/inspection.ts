/** Inspects the live network: its newest weights and the chosen sample, computed in the lesson's thread. */
import type { LabeledSample } from '@lockstep/lesson';
import { computed, effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import { openThread } from '../learn/computation.ts';
import type { Inspected, InspectedText, InspectRequest } from '../learn/messages.ts';
import type { RunStore } from '../watch/run-store.ts';

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

interface FeedOptions {
  readonly store: RunStore;
  /** Asks the coordinator for the current weights, which then arrive in `store`. */
  readonly request: () => void;
}

/** Average load that a view may put on the coordinator's link. */
const bytesPerMs = 1_000;
/** Shorter pauses are skipped. */
const shortestRestMs = 50;

export type Weights = NonNullable<RunStore['weights']['value']>;

/**
 * Keeps the run's weights current while a person looks at them, until `close` is called. At most one request is pending,
 * and none is sent while the page is hidden. The coordinator answers at most once a second; large models are requested
 * less often.
 */
export function openWeightsFeed({ store, request }: FeedOptions) {
  const weights = computed(() => {
    const [{ value: newest }, { value: run }] = [store.weights, store.run];
    // A restarted coordinator may train another model.
    return newest?.bytes.byteLength === 4 * (run?.parameters ?? -1) ? newest : undefined;
  });
  const isHidden = signal(document.hidden);
  const look = (): void => {
    isHidden.value = document.hidden;
  };
  document.addEventListener('visibilitychange', look);
  let isPending = false;
  const rest = restAfterWeights();
  const stopResting = effect(() => {
    const { value: newest } = store.weights;
    if (!newest) return;
    isPending = false;
    untracked(() => rest.begin(newest.bytes.byteLength / bytesPerMs));
  });
  const stopAsking = effect(() => {
    const isLive = store.connection.value.phase === 'live';
    if (!isLive) isPending = false;
    const step = weights.value?.step;
    const isCurrent = step !== undefined && step === (store.progress.value?.step ?? step);
    if (!isLive || isHidden.value || rest.isOn.value || isPending || isCurrent) return;
    isPending = true;
    untracked(request);
  });
  return {
    weights,
    close(): void {
      stopAsking();
      stopResting();
      rest.end();
      document.removeEventListener('visibilitychange', look);
    },
  };
}

function restAfterWeights() {
  const isOn = signal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    clearTimeout(timer);
    isOn.value = false;
  };
  return {
    isOn: isOn as ReadonlySignal<boolean>,
    begin(ms: number): void {
      end();
      if (ms < shortestRestMs) return;
      isOn.value = true;
      timer = setTimeout(end, ms);
    },
    end,
  };
}
