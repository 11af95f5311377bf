/** The run's newest weights, requested while a person looks at them. */
import { computed, effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import type { RunStore } from './run-store.ts';

interface FeedOptions {
  readonly store: RunStore;
  /** Asks the coordinator for the current weights, which then arrive in `store`. */
  readonly request: () => void;
  /** Whether newer weights are wanted once there are some; by default they are. */
  readonly isFollowed?: ReadonlySignal<boolean>;
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
export function openWeightsFeed({ store, request, isFollowed = signal(true) }: FeedOptions) {
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
    const isCurrent = step !== undefined && (!isFollowed.value || step === (store.progress.value?.step ?? step));
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
