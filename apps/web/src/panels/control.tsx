/** Controls the run with the admin token: start, pause, resume, stop, save. */
import type { AdminAction } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import type { Progress, RunStore } from '../watch/run-store.ts';
import { RunAgain, type RunChanges, runAgainId } from './run-again.tsx';

interface ControlProps {
  readonly store: RunStore;
  readonly onAction: (action: AdminAction) => void;
}

interface ControlPanelProps extends ControlProps {
  readonly onRunAgain: (changes: RunChanges) => void;
}

export function Control({ store, onAction, onRunAgain }: ControlPanelProps) {
  const run = store.run.value;
  const isLive = store.connection.value.phase === 'live';
  return (
    <section class="control" aria-labelledby="control-title">
      <h2 id="control-title" class="sr-only">
        Control
      </h2>
      <Buttons store={store} onAction={onAction} />
      {run?.canRunAgain && (
        <RunAgain
          key={JSON.stringify(run.config)}
          run={run}
          isPossible={store.isOver.value && isLive}
          rejection={store.rejection.value}
          onRunAgain={onRunAgain}
        />
      )}
      <p class="control-note" role="status">
        {waitsForWorkers(store) ? 'It starts with the first worker.' : ''}
      </p>
      <p class="rejection" role="alert">
        {store.rejection.value ?? ''}
      </p>
    </section>
  );
}

function waitsForWorkers({ status, workers }: RunStore): boolean {
  return status.value.name === 'waiting' && !workers.value.some(({ phase }) => phase === 'ready');
}

function Buttons({ store, onAction }: ControlProps) {
  const isConfirming = useSignal(false);
  const { value: progress } = store.progress;
  const cannotRun = !progress || store.isOver.value || store.status.value.name === 'lost';
  const next = nextAction(progress);
  // It was pressed, or needs not be: what is missing is a worker.
  const isStarting = next === 'start' && progress?.pauseRequested === false && waitsForWorkers(store);
  const act = (action: AdminAction): void => {
    isConfirming.value = false;
    store.rejection.value = undefined;
    onAction(action);
  };
  return (
    <div class="control-buttons" role="toolbar" aria-label="Control the run">
      {store.isOver.value && store.run.value?.canRunAgain ? (
        <RunAgainButton isPossible={store.connection.value.phase === 'live'} />
      ) : (
        <button
          type="button"
          class={`next-action ${next === 'pause' ? '' : 'primary'}`}
          disabled={cannotRun || isStarting}
          onClick={() => act(next)}
        >
          {actionTitles[next]}
        </button>
      )}
      <button type="button" disabled={!progress} onClick={() => act('save')}>
        Save
      </button>
      {isConfirming.value ? (
        <>
          <button type="button" class="danger" onClick={() => act('stop')}>
            Stop for good
          </button>
          <button type="button" onClick={() => (isConfirming.value = false)}>
            Go on
          </button>
        </>
      ) : (
        <button type="button" disabled={cannotRun} onClick={() => (isConfirming.value = true)}>
          Stop
        </button>
      )}
    </div>
  );
}

/** In the place of the button that begins and pauses a run. */
function RunAgainButton({ isPossible }: { readonly isPossible: boolean }) {
  return (
    <button type="button" class="next-action primary" popovertarget={runAgainId} disabled={!isPossible}>
      Run again
    </button>
  );
}

const actionTitles = { start: 'Start', pause: 'Pause', resume: 'Resume' } as const;

function nextAction(progress: Progress | undefined): keyof typeof actionTitles {
  if (progress?.phase === 'waiting') return 'start';
  return progress?.phase === 'paused' && progress.pauseRequested ? 'resume' : 'pause';
}
