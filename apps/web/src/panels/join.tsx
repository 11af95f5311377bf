/** The panel of this tab as a worker: a form to join, or the worker's state. */

import {
  type EndedState,
  mostThreads,
  oneThreadReason,
  type TabBackend,
  type TabState,
  usualThreads,
} from '@lockstep/worker/browser';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { tabBackendLabels } from '../join/backends.ts';
import { chooseDeviceName, deviceName } from '../join/device-name.ts';
import type { TabWorker } from '../join/tab-worker.ts';
import { useKeptFocus } from '../look/keep-focus.ts';
import type { RunStore } from '../watch/run-store.ts';
import { ActiveWorker } from './active-worker.tsx';
import { bindInput } from './bind-input.ts';
import { Card } from './card.tsx';
import { CodeForm } from './code-form.tsx';

interface JoinProps {
  readonly tab: TabWorker;
  /** Why joining is impossible; undefined if it is possible. */
  readonly obstacle: string | undefined;
}

interface JoinCardProps {
  readonly tab: TabWorker;
  readonly store: RunStore;
  /** Submits the code of the run; undefined if no code is needed. */
  readonly onCode: ((code: string) => void) | undefined;
  /** The ending of a finished run, shown instead of the form. */
  readonly children?: ComponentChildren;
}

export function Join({ tab, store, onCode, children }: JoinCardProps) {
  const state = tab.state.value;
  const run = store.run.value;
  const isActive = state.phase !== 'watching' && state.phase !== 'ended';
  const obstacle = obstacleOf(store);
  const kept = useKeptFocus<HTMLDivElement>(`${isActive} ${obstacle}`);
  const { name, title } = tab.status.value;
  const status = (
    <p class={`pill pill-${name}`} role="status">
      {title}
    </p>
  );
  return (
    <Card name="join" title="This tab" aside={status}>
      <div ref={kept} class="join-body">
        {children && <p>{overText(state, store)}</p>}
        {children}
        {/* A coordinator that has exited begins no other run, but a tab that stays looks for the next coordinator. */}
        {children && run?.canRunAgain && (isActive || store.connection.value.phase !== 'lost') && (
          <NextRun tab={tab} isActive={isActive} />
        )}
        {isActive && !children && <ActiveWorker state={state} run={run} onLeave={() => tab.leave()} />}
        {!isActive &&
          !children &&
          (onCode ? <CodeForm {...codeFault(state)} onCode={onCode} /> : <JoinForm {...{ tab, obstacle }} />)}
      </div>
    </Card>
  );
}

/** Explains why the coordinator refused the code, in a run that anybody may watch. */
function codeFault(state: TabState): { readonly fault: string | undefined } {
  return { fault: state.phase === 'ended' && state.end === 'refused' ? endTexts.refused(state.message) : undefined };
}

function obstacleOf({ status, isOver, run }: RunStore): string | undefined {
  const { isCurrent } = status.value;
  if (isOver.value && run.value?.canRunAgain !== true) return 'The run is over: there is nothing left to compute.';
  return isCurrent ? undefined : 'Joining is possible when the coordinator answers again.';
}

/** Lets the tab stay for the next run. No higher than the form, to avoid layout shift when a run ends. */
function NextRun({ tab, isActive }: { readonly tab: TabWorker; readonly isActive: boolean }) {
  const join = (): void => tab.join({ name: deviceName(), backend: 'auto', threads: usualThreads() });
  return (
    <p>
      {isActive ? 'This tab stays for the next run. ' : 'Another run may follow. '}
      <button type="button" class="small" onClick={isActive ? () => tab.leave() : join}>
        {isActive ? 'Leave' : 'Join'}
      </button>
    </p>
  );
}

const endTexts = {
  finished: (message) => `The run is over: ${message}.`,
  left: () => 'This tab has left. Its unfinished work went to others; the model does not notice.',
  refused: (message) => `The coordinator refused this tab: ${message}.`,
  failed: (message) => `This tab cannot compute: ${message}.`,
  unreachable: (message) => `This tab could not join: ${message}.`,
} as const satisfies Record<EndedState['end'], (message: string) => string>;

/** Returns the text above the ending of a run. */
function overText(state: TabState, { connection }: RunStore): string {
  const hasEnded = state.phase === 'ended' && state.end !== 'finished';
  const text = hasEnded ? endTexts[state.end](state.message) : 'The run is over.';
  return connection.value.phase === 'lost' ? `${text} The coordinator has ended; this is what it left.` : text;
}

function introduction(state: TabState, obstacle: string | undefined): string {
  if (state.phase === 'ended') return endTexts[state.end](state.message);
  return (
    obstacle ??
    'Lend this device: it computes gradients in the background. Closing the tab at any moment costs the model nothing.'
  );
}

function JoinForm({ tab, obstacle }: JoinProps) {
  const state = tab.state.value;
  const name = useSignal(deviceName());
  const backend = useSignal<TabBackend>('auto');
  const threads = useSignal(`${usualThreads()}`);
  const reason = oneThreadReason();
  const join = (event: Event): void => {
    event.preventDefault();
    tab.join({ name: chooseDeviceName(name.value), backend: backend.value, threads: Number(threads.value) });
  };
  return (
    <form class="join-form" onSubmit={join}>
      <p class="join-text">{introduction(state, obstacle)}</p>
      <label>
        Name
        <input maxLength={80} autocomplete="off" spellcheck={false} {...bindInput(name)} />
      </label>
      <label>
        Compute on
        <select {...bindInput(backend)}>
          {Object.entries(tabBackendLabels).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label>
        Threads
        <select disabled={reason !== undefined} {...bindInput(threads)}>
          {Array.from({ length: mostThreads() }, (_, index) => (
            <option key={index} value={`${index + 1}`}>
              {index + 1}
            </option>
          ))}
        </select>
      </label>
      {reason !== undefined && <p class="join-text">One thread: {reason}.</p>}
      <button type="submit" class="primary" disabled={obstacle !== undefined}>
        {state.phase === 'ended' ? 'Join again' : 'Join'}
      </button>
    </form>
  );
}
