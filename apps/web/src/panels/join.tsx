/** The panel of this tab as a worker: a form to join, or the worker's state. */
import type { RunMessage } from '@lockstep/protocol';
import {
  type ActiveState,
  type EndedState,
  mostThreads,
  oneThreadReason,
  type TabBackend,
  type TabState,
  usualThreads,
} from '@lockstep/worker/browser';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { chooseDeviceName, deviceName, type TabWorker } from '../join/tab-worker.ts';
import { bindInput, Card, Choice, Figure, useKeptFocus } from '../look/controls.tsx';
import { capitalized, millisecondsText, plural, thousands } from '../look/format.ts';
import type { RunStore } from '../watch/run-store.ts';
import { sampleUnitOf } from '../watch/run-texts.ts';
import { backendLabel, NameForm } from './workers.tsx';

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
        {children ? (
          <>
            <p>{overText(state, store)}</p>
            {children}
            {/* A coordinator that has exited begins no other run, but a tab that stays looks for the next one. */}
            {run?.canRunAgain && (isActive || store.connection.value.phase !== 'lost') && (
              <NextRun tab={tab} isActive={isActive} />
            )}
          </>
        ) : isActive ? (
          <ActiveWorker state={state} run={run} onName={(given) => tab.rename(given)} onLeave={() => tab.leave()} />
        ) : onCode ? (
          <CodeForm fault={codeFault(state)} onCode={onCode} />
        ) : (
          <JoinForm tab={tab} obstacle={obstacle} />
        )}
      </div>
    </Card>
  );
}

/** Explains why the coordinator refused the code, in a run that anybody may watch. */
function codeFault(state: TabState): string | undefined {
  if (state.phase !== 'ended' || state.end !== 'refused') return undefined;
  return state.isTokenWrong ? 'The code is wrong: type it again.' : endTexts.refused(state.message);
}

function obstacleOf({ status, isOver, run }: RunStore): string | undefined {
  const { isCurrent } = status.value;
  if (isOver.value && run.value?.canRunAgain !== true) return 'The run is over: there is nothing left to compute.';
  return isCurrent ? undefined : 'You can join when the coordinator answers again.';
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
  left: () => 'This tab has left. Other workers take over its unfinished work, and the model is not affected.',
  refused: (message) => `The coordinator refused this tab: ${message}.`,
  failed: (message) => `This tab cannot compute: ${message}.`,
  unreachable: (message) => `This tab could not join: ${message}.`,
} as const satisfies Record<EndedState['end'], (message: string) => string>;

/** Returns the text above the ending of a run. */
function overText(state: TabState, { connection }: RunStore): string {
  const hasEnded = state.phase === 'ended' && state.end !== 'finished';
  const text = hasEnded ? endTexts[state.end](state.message) : 'The run is over.';
  return connection.value.phase === 'lost' ? `${text} The coordinator has ended; these are its last results.` : text;
}

function introduction(state: TabState, obstacle: string | undefined): string {
  if (state.phase === 'ended') return endTexts[state.end](state.message);
  return (
    obstacle ??
    'Let this device help: it computes gradients in the background. You can close the tab at any time without affecting the model.'
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
      <Choice
        label="Compute on"
        value={backend.value}
        options={Object.entries(tabBackendLabels)}
        onChoose={(value) => (backend.value = value as TabBackend)}
      />
      <Choice
        label="Threads"
        value={threads.value}
        options={Array.from({ length: mostThreads() }, (_, index) => `${index + 1}`)}
        isDisabled={reason !== undefined}
        onChoose={(value) => (threads.value = value)}
      />
      {reason !== undefined && <p class="join-text">{capitalized(reason)}.</p>}
      <button type="submit" class="primary" disabled={obstacle !== undefined}>
        {state.phase === 'ended' ? 'Join again' : 'Join'}
      </button>
    </form>
  );
}

interface ActiveWorkerProps {
  readonly state: ActiveState;
  readonly run: RunMessage | undefined;
  readonly onName: (name: string) => void;
  readonly onLeave: () => void;
}

function ActiveWorker({ state, run, onName, onLeave }: ActiveWorkerProps) {
  const isNaming = useSignal(false);
  const kept = useKeptFocus<HTMLDivElement>(isNaming.value);
  const { phase, id, backend, threads = 1, device, shards, samples, computeMs, retryReason } = state;
  const unit = sampleUnitOf(run);
  const insecure = backend === 'webgpu' ? undefined : insecureContextReason();
  const oneThread = backend === 'cpu' ? oneThreadReason() : undefined;
  const reasons = [...state.reasons, insecure, oneThread].filter((reason) => reason !== undefined);
  return (
    <div class="active-worker">
      <p class="join-text">
        {backend === undefined ? (
          'Testing the backends of this device …'
        ) : (
          <>
            <b>{id ?? 'This tab'}</b> computes on <b>{backendPhrase(backend)}</b>
            {threads > 1 && ` in ${threads} threads`}
            {device && `, ${device}`}.
          </>
        )}
        {phase === 'reconnecting' && retryReason && (
          <span class="retry-reason"> {capitalized(retryReason)}; trying again.</span>
        )}
      </p>
      <dl class="figures">
        <Figure label="Shards" value={thousands(shards)} />
        <Figure label={capitalized(unit.name)} value={thousands(samples * unit.perSample)} />
        <Figure label="ms per shard" value={shards === 0 ? undefined : millisecondsText(computeMs / shards)} />
      </dl>
      <Reasons reasons={reasons} />
      <div ref={kept} class="row">
        {isNaming.value && id !== undefined ? (
          <NameForm worker={{ id, name: deviceName() }} onName={onName} onEnd={() => (isNaming.value = false)} />
        ) : (
          <>
            {/* First, because the focus returns to the first button after the form. */}
            <button type="button" disabled={id === undefined} onClick={() => (isNaming.value = true)}>
              Rename
            </button>
            <button type="button" onClick={onLeave}>
              Leave
            </button>
          </>
        )}
      </div>
    </div>
  );
}

function Reasons({ reasons }: Pick<ActiveState, 'reasons'>) {
  if (reasons.length === 0) return null;
  return (
    <details class="reasons">
      <summary>Why not faster? ({plural(reasons.length, 'reason')})</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls must be reachable by keyboard */}
      <ul tabIndex={0}>
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </details>
  );
}

interface CodeFormProps {
  /** Why the last code was refused. */
  readonly fault: string | undefined;
  readonly onCode: (code: string) => void;
}

const codeLength = 6;
/** Long enough to paste a whole token instead. */
const mostLetters = 256;

export function CodeForm({ fault, onCode }: CodeFormProps) {
  const code = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = code.value.replace(/\s/g, '');
    if (text !== '') onCode(text.length === codeLength ? text.toUpperCase() : text);
  };
  return (
    <form class="row code-form" onSubmit={submit}>
      <label>
        Code of this run
        <input
          class="code-input"
          maxLength={mostLetters}
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          aria-describedby="code-fault"
          {...bindInput(code)}
        />
      </label>
      <button type="submit" class="primary">
        Enter
      </button>
      <p class="aside">
        Type the six letters and digits that the owner of this run shows.{' '}
        <span id="code-fault" class="error" role="status">
          {fault}
        </span>
      </p>
    </form>
  );
}

/** Labels of the backends that a person can choose. */
const tabBackendLabels: Readonly<Record<TabBackend, string>> = {
  auto: 'Fastest on this device',
  webgpu: 'GPU (WebGPU)',
  webgl: 'GPU (WebGL)',
  cpu: 'CPU',
};

/** Returns the name of a backend in a sentence: "computes on …". */
function backendPhrase(backend: string): string {
  if (backend === 'cpu') return 'the CPU (WebAssembly SIMD)';
  return backend === 'reference' ? 'the CPU (plain JavaScript)' : backendLabel(backend);
}

/** Explains why the browser hides WebGPU from this page, if it does. */
function insecureContextReason(): string | undefined {
  if (isSecureContext) return undefined;
  return 'WebGPU exists only over https or on localhost: start the coordinator with --tls to offer it here';
}
