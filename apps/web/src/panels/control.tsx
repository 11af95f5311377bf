/** Controls the run with the admin token: start, pause, resume, stop, save. */
import type { AdminAction } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import { useKeptFocus } from '../look/keep-focus.ts';
import { batchAtStart } from '../watch/batch-at-start.ts';
import type { Progress, RunStore } from '../watch/run-store.ts';
import { RunAgain, type RunChanges, runAgainId } from './run-again.tsx';

interface ControlProps {
  readonly store: RunStore;
  readonly onAction: (action: AdminAction) => void;
}

interface ControlPanelProps extends ControlProps {
  /** Whether the coordinator has accepted the admin token. The panel keeps its place until the coordinator answers. */
  readonly isOwner: boolean;
  readonly onRunAgain: (changes: RunChanges) => void;
}

export function Control({ store, isOwner, onAction, onRunAgain }: ControlPanelProps) {
  const run = store.run.value;
  const isLive = store.connection.value.phase === 'live';
  return (
    <section class={`control ${isOwner ? '' : 'hidden'}`} aria-labelledby="control-title">
      <h2 id="control-title" class="sr-only">
        Control
      </h2>
      <Buttons store={store} onAction={onAction} />
      {run?.canRunAgain && (
        <RunAgain
          key={JSON.stringify(run.config)}
          run={run}
          isPossible={store.isOver.value && isLive && isOwner}
          rejection={store.rejection.value}
          onRunAgain={onRunAgain}
        />
      )}
      <p class="control-note" role="status">
        {noteOf(store)}
      </p>
      <p class="rejection" role="alert">
        {store.rejection.value ?? ''}
      </p>
    </section>
  );
}

function noteOf(store: RunStore): string {
  const { value: answer } = store.answer;
  if (answer !== undefined) return `${answer[0]!.toUpperCase()}${answer.slice(1)}.`;
  const atStart = batchAtStart(store);
  if (atStart) return atStart.text;
  return waitsForWorkers(store) ? 'It starts with the first worker.' : '';
}

function waitsForWorkers({ status, workers }: RunStore): boolean {
  return status.value.name === 'waiting' && !workers.value.some(({ phase }) => phase === 'ready');
}

function Buttons({ store, onAction }: ControlProps) {
  const isConfirming = useSignal(false);
  const { value: progress } = store.progress;
  const isAnswering = store.connection.value.phase === 'live' && store.status.value.isCurrent;
  const cannotRun = !progress || store.isOver.value || !isAnswering;
  const next = nextAction(progress);
  // Start was pressed or is not needed; only a worker is missing.
  const isStarting = next === 'start' && progress?.pauseRequested === false && waitsForWorkers(store);
  const hasNoBatch =
    next === 'start' && batchAtStart(store)?.batch === undefined && store.run.value?.planAtStart !== undefined;
  const kept = useKeptFocus<HTMLDivElement>(`${next} ${isStarting} ${cannotRun}`);
  const act = (action: AdminAction): void => {
    isConfirming.value = false;
    store.rejection.value = undefined;
    store.answer.value = undefined;
    onAction(action);
  };
  return (
    <div ref={kept} class="control-buttons" role="toolbar" aria-label="Control the run">
      {store.isOver.value && store.run.value?.canRunAgain ? (
        <RunAgainButton isPossible={isAnswering} />
      ) : (
        <button
          type="button"
          class={`next-action ${next === 'pause' ? '' : 'primary'}`}
          disabled={cannotRun || isStarting || hasNoBatch}
          onClick={() => act(next)}
        >
          {actionTitles[next]}
        </button>
      )}
      <button type="button" title={saveTitle} disabled={!progress || !isAnswering} onClick={() => act('save')}>
        Save
      </button>
      <StopButtons isConfirming={isConfirming} isDisabled={cannotRun} onStop={() => act('stop')} />
    </div>
  );
}

interface StopButtonsProps {
  readonly isConfirming: Signal<boolean>;
  readonly isDisabled: boolean;
  readonly onStop: () => void;
}

function StopButtons({ isConfirming, isDisabled, onStop }: StopButtonsProps) {
  const kept = useKeptFocus<HTMLSpanElement>(isConfirming.value);
  return (
    <span ref={kept} class="control-buttons">
      {isConfirming.value ? (
        <>
          <button type="button" class="danger" onClick={onStop}>
            Stop for good
          </button>
          <button type="button" onClick={() => (isConfirming.value = false)}>
            Go on
          </button>
        </>
      ) : (
        <button type="button" disabled={isDisabled} onClick={() => (isConfirming.value = true)}>
          Stop
        </button>
      )}
    </span>
  );
}

/** Takes the place of the button that starts and pauses a run. */
function RunAgainButton({ isPossible }: { readonly isPossible: boolean }) {
  return (
    <button type="button" class="next-action primary" popovertarget={runAgainId} disabled={!isPossible}>
      Run again
    </button>
  );
}

const saveTitle =
  'Writes the model as it is now to a file on the coordinator’s computer. When the run is over, “This tab” offers the model as a download.';

const actionTitles = { start: 'Start', pause: 'Pause', resume: 'Resume' } as const;

function nextAction(progress: Progress | undefined): keyof typeof actionTitles {
  if (progress?.phase === 'waiting') return 'start';
  return progress?.phase === 'paused' && progress.pauseRequested ? 'resume' : 'pause';
}
