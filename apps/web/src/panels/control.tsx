/** Steering, for whoever knows the admin token: start, pause, resume, stop, save. */
import type { AdminAction } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import type { Progress, Room } from '../watch/room.ts';

export interface ControlProps {
  readonly room: Room;
  readonly onAction: (action: AdminAction) => void;
}

export function Control({ room, onAction }: ControlProps) {
  return (
    <section class="control" aria-labelledby="control-title">
      <h2 id="control-title" class="sr-only">
        Control
      </h2>
      <Buttons room={room} onAction={onAction} />
      <p class="refused" role="alert">
        {room.refused.value ?? ''}
      </p>
    </section>
  );
}

function Buttons({ room, onAction }: ControlProps) {
  const isSure = useSignal(false);
  const progress = room.progress.value;
  const phase = progress?.phase;
  const isOver = phase === undefined || phase === 'finished' || phase === 'failed';
  const turn = turnOf(progress);
  const act = (action: AdminAction): void => {
    isSure.value = false;
    room.refused.value = undefined;
    onAction(action);
  };
  return (
    <div class="control-buttons" role="toolbar" aria-label="Steer the run">
      <button
        type="button"
        class={`turn ${turn === 'pause' ? '' : 'primary'}`}
        disabled={isOver}
        onClick={() => act(turn)}
      >
        {turnTitles[turn]}
      </button>
      <button type="button" disabled={phase === undefined} onClick={() => act('save')}>
        Save
      </button>
      {isSure.value ? (
        <>
          <button type="button" class="danger" onClick={() => act('stop')}>
            Stop for good
          </button>
          <button
            type="button"
            onClick={() => {
              isSure.value = false;
            }}
          >
            Go on
          </button>
        </>
      ) : (
        <button
          type="button"
          disabled={isOver}
          onClick={() => {
            isSure.value = true;
          }}
        >
          Stop
        </button>
      )}
    </div>
  );
}

/** What the one button for going on and holding does now. */
function turnOf(progress: Progress | undefined): keyof typeof turnTitles {
  if (progress?.phase === 'waiting') return 'start';
  return progress?.phase === 'paused' && progress.pauseRequested ? 'resume' : 'pause';
}

const turnTitles = { start: 'Start', pause: 'Pause', resume: 'Resume' } as const satisfies Partial<
  Record<AdminAction, string>
>;

/** Asks for the admin token; who came by the owner's address has it already. */
export function Unlock({ onToken }: { readonly onToken: (token: string) => void }) {
  const token = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.value.trim() !== '') onToken(token.value.trim());
  };
  return (
    <>
      <button type="button" popovertarget="unlock">
        Control
      </button>
      <div id="unlock" popover="auto" class="bubble" role="dialog" aria-label="Steer this run">
        <form class="unlock" onSubmit={submit}>
          <p>
            Start, pause, stop and save need the admin token. It is in the address that the coordinator printed for its
            owner.
          </p>
          <label>
            Admin token
            <input
              type="password"
              autocomplete="off"
              value={token.value}
              onInput={(event) => {
                token.value = event.currentTarget.value;
              }}
            />
          </label>
          <button type="submit" class="primary">
            Unlock
          </button>
        </form>
      </div>
    </>
  );
}
