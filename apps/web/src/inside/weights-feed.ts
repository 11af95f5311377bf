/** Keeps the weights of the run current while a person looks at them: one request at a time, none while held or hidden. */
import { effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import type { RunStore } from '../watch/run-store.ts';

interface FeedOptions {
  readonly store: RunStore;
  /** While it is true the weights stand still. */
  readonly isHeld: ReadonlySignal<boolean>;
  /** Asks the coordinator for the current weights, which then arrive in `store`. */
  readonly request: () => void;
}

export type Weights = NonNullable<RunStore['weights']['value']>;

/** Requests until `close` is called. */
export function openWeightsFeed({ store, isHeld, request }: FeedOptions) {
  const weights = signal<Weights>();
  const isHidden = signal(document.hidden);
  const look = (): void => {
    isHidden.value = document.hidden;
  };
  document.addEventListener('visibilitychange', look);
  let isPending = false;
  const stopTaking = effect(() => {
    const { value: newest } = store.weights;
    const { value: run } = store.run;
    if (newest) isPending = false;
    // A coordinator that began again may train another model.
    const fits = newest && newest.bytes.byteLength === 4 * (run?.parameters ?? -1);
    if (!isHeld.value) weights.value = fits ? newest : undefined;
  });
  const stopAsking = effect(() => {
    const isLive = store.connection.value.phase === 'live';
    if (!isLive) isPending = false;
    const step = weights.value?.step;
    const isCurrent = step !== undefined && step === (store.progress.value?.step ?? step);
    if (!isLive || isHeld.value || isHidden.value || isPending || isCurrent) return;
    isPending = true;
    untracked(request);
  });
  return {
    weights: weights as ReadonlySignal<Weights | undefined>,
    close(): void {
      stopAsking();
      stopTaking();
      document.removeEventListener('visibilitychange', look);
    },
  };
}
