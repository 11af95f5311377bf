/** This tab as a worker: joining, what it computes on and why, what it has done, and how it ended. */
import { useSignal } from '@preact/signals';
import { backendTitle, chooseName, preferredName, secureContextHint, tabBackends } from '../join/backends.ts';
import type { TabState, TabWorker } from '../join/join.ts';
import type { EndReason } from '../join/messages.ts';
import type { TabBackend } from '../join/open.ts';
import { counted, millisecondsText, whole } from '../look/format.ts';

export interface JoinProps {
  readonly tab: TabWorker;
  /** Whether the run is over, so that nobody can join it. */
  readonly isOver: boolean;
}

export function Join({ tab, isOver }: JoinProps) {
  const state = tab.state.value;
  const isIn = state.phase !== 'idle' && state.phase !== 'ended';
  return (
    <section class="card join-card" aria-labelledby="join-title">
      <header class="card-head">
        <h2 id="join-title">This tab</h2>
        <p class={`pill pill-${state.phase}`} role="status">
          {phaseTitle(state)}
        </p>
      </header>
      {isIn ? <Taking state={state} onLeave={() => tab.leave()} /> : <Invitation tab={tab} isOver={isOver} />}
    </section>
  );
}

function phaseTitle(state: TabState): string {
  switch (state.phase) {
    case 'idle':
      return 'watching';
    case 'opening':
      return 'opening';
    case 'joining':
      return 'joining';
    case 'computing':
      return 'computing';
    case 'retrying':
      return 'coming back';
    case 'ended':
      return endTitle(state.reason);
    default:
      return state satisfies never;
  }
}

function endTitle(reason: EndReason): string {
  switch (reason) {
    case 'finished':
      return 'done';
    case 'left':
      return 'left';
    case 'refused':
      return 'refused';
    case 'failed':
    case 'unreachable':
      return 'stopped';
    default:
      return reason satisfies never;
  }
}

/** How this tab's part ended, as one sentence. */
function endMessage(reason: EndReason, message: string): string {
  switch (reason) {
    case 'finished':
      return `The run is over: ${message}.`;
    case 'left':
      return 'This tab has left. Its unfinished work went to others; the model does not notice.';
    case 'refused':
      return `The coordinator refused this tab: ${message}.`;
    case 'failed':
      return `This tab cannot compute: ${message}.`;
    case 'unreachable':
      return `This tab could not join: ${message}.`;
    default:
      return reason satisfies never;
  }
}

function Invitation({ tab, isOver }: JoinProps) {
  const state = tab.state.value;
  const name = useSignal(preferredName());
  const backend = useSignal<TabBackend>('auto');
  const join = (event: Event): void => {
    event.preventDefault();
    tab.join({ name: chooseName(name.value), backend: backend.value });
  };
  return (
    <form class="join-form" onSubmit={join}>
      <p class="join-text">
        {state.phase === 'ended'
          ? endMessage(state.reason, state.message)
          : isOver
            ? 'The run is over: there is nothing left to compute.'
            : 'Lend this device: it computes gradients in the background. Closing the tab at any moment costs the model nothing.'}
      </p>
      <label>
        Name
        <input
          value={name.value}
          maxLength={80}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <label>
        Compute on
        <select
          value={backend.value}
          onChange={(event) => {
            backend.value = event.currentTarget.value as TabBackend;
          }}
        >
          {tabBackends.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="primary" disabled={isOver}>
        {state.phase === 'ended' ? 'Join again' : 'Join'}
      </button>
    </form>
  );
}

type TakingState = Exclude<TabState, { phase: 'idle' | 'ended' }>;

function Taking({ state, onLeave }: { readonly state: TakingState; readonly onLeave: () => void }) {
  const { phase, id, backend, device, refused, shards, samples, computeMs, trouble } = state;
  const hint = secureContextHint();
  const reasons = hint === undefined || backend === 'webgpu' ? refused : [...refused, hint];
  return (
    <div class="taking">
      <p class="join-text">
        {backend === undefined ? (
          'Looking at what this device can compute on …'
        ) : (
          <>
            {id === undefined ? 'Computing' : <b>{id}</b>} {id === undefined ? 'on ' : 'computes on '}
            <b>{backendTitle(backend)}</b>
            {device === undefined ? '' : `, ${device}`}.
          </>
        )}
        {phase === 'retrying' && trouble !== undefined && <span class="trouble-text"> {trouble}; trying again.</span>}
      </p>
      <dl class="figures">
        <div>
          <dt>Shards</dt>
          <dd>{whole(shards)}</dd>
        </div>
        <div>
          <dt>Images</dt>
          <dd>{whole(samples)}</dd>
        </div>
        <div>
          <dt>ms a shard</dt>
          <dd>{shards === 0 ? '–' : millisecondsText(computeMs / shards)}</dd>
        </div>
      </dl>
      {reasons.length > 0 && (
        <details class="reasons">
          <summary>Why nothing faster ({counted(reasons.length, 'reason')})</summary>
          <ul>
            {reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </details>
      )}
      <button type="button" onClick={onLeave}>
        Leave
      </button>
    </div>
  );
}
