/** The workers: what each computes on, its share of the work or why it has none, and the owner's actions on it. */
import { printableText } from '@lockstep/data/shown';
import type { FaultAction } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { bindInput, Card, useKeptFocus } from '../look/controls.tsx';
import { capitalized, millisecondsText, percent, plural, thousands } from '../look/format.ts';
import { DataTable, type ViewColumn } from '../view/table.tsx';
import type { RunStore } from '../watch/run-store.ts';
import { sampleUnitOf } from '../watch/run-texts.ts';
import { idleTexts, type ShownWorker } from '../watch/status.ts';

export interface WorkerOwner {
  readonly rename: (workerId: string, name: string) => void;
  readonly remove: (workerId: string) => void;
  /** Absent unless the run allows fault injection. */
  readonly injectFault: ((action: FaultAction, workerId: string) => void) | undefined;
}

interface WorkersProps {
  readonly store: RunStore;
  readonly ownId: string | undefined;
  /** Actions of the run's owner on a worker; absent for guests. */
  readonly owner: WorkerOwner | undefined;
}

const kindTitles: Readonly<Record<ShownWorker['kind'], string>> = {
  browser: 'Tab',
  node: 'Node',
  local: 'Local',
  relay: 'Relay',
};

const backendLabels: Readonly<Record<string, string>> = {
  cpu: 'CPU',
  reference: 'CPU (plain)',
  gpu: 'GPU',
  webgpu: 'WebGPU',
  webgl: 'WebGL',
};

export function backendLabel(backend: string): string {
  return backendLabels[backend] ?? backend;
}

/** Workers that need attention come first. */
const healthOrder: readonly ShownWorker['health'][] = ['unknown', 'late', 'idle', 'good', 'finished', 'gone'];

/** Ordered by importance, for narrow screens. */
export const columns = {
  name: { title: 'Worker', value: ({ name }) => name.toLowerCase(), text: ({ name }) => name },
  health: {
    title: 'Health',
    value: ({ health }) => healthOrder.indexOf(health),
    text: healthText,
    cell: (worker) => <span class={`health health-${worker.health}`}>{healthText(worker)}</span>,
  },
  share: {
    title: 'Share',
    isNumber: true,
    value: ({ share }) => share,
    text: ({ share }) => percent(share),
    cell: ({ share }) => (
      <>
        {percent(share)}
        <svg class="share" aria-hidden="true" focusable="false">
          <rect width={`${share * 100}%`} height="100%" />
        </svg>
      </>
    ),
  },
  speed: speedIn({ name: 'samples', perSample: 1 }),
  kind: { title: 'Kind', value: ({ kind }) => kindTitles[kind], text: kindText },
  backend: {
    title: 'Computes on',
    value: ({ backend }) => backendLabel(backend),
    text: ({ backend, threads }) => `${backendLabel(backend)}${threads > 1 ? `, ${threads} threads` : ''}`,
  },
  compute: timed('Compute', ({ computeMs }) => computeMs),
  link: timed('Link', ({ sendMs }) => sendMs),
  wait: timed('Wait', ({ waitMs }) => waitMs),
} as const satisfies Readonly<Record<string, ViewColumn<ShownWorker>>>;

/** Returns a column of numbers that only connected workers have. */
function measured(title: string, value: (worker: ShownWorker) => number, format: (value: number) => string) {
  const text = (worker: ShownWorker): string => (isConnected(worker) ? format(value(worker)) : '–');
  return { title, isNumber: true, value, text };
}

function speedIn({ name, perSample }: ReturnType<typeof sampleUnitOf>) {
  return measured(`${capitalized(name)}/s`, (worker) => worker.samplesPerSecond * perSample, thousands);
}

/** Returns a column of milliseconds per step. A worker that has not computed yet has none. */
function timed(title: string, value: (worker: ShownWorker) => number) {
  const column = measured(title, value, millisecondsText);
  return { ...column, unit: 'ms', text: (worker: ShownWorker) => (worker.computeMs > 0 ? column.text(worker) : '–') };
}

function healthText({ health, idle, hidden }: ShownWorker): string {
  const texts = [health, ...(idle === undefined ? [] : [idleTexts[idle]]), ...(hidden ? ['hidden'] : [])];
  return texts.join(', ');
}

function kindText({ kind, workersBehind }: ShownWorker): string {
  return workersBehind === undefined ? kindTitles[kind] : `${kindTitles[kind]} of ${plural(workersBehind, 'worker')}`;
}

/** Whether the worker is known to be connected. */
function isConnected({ health }: ShownWorker): boolean {
  return health !== 'gone' && health !== 'finished' && health !== 'unknown';
}

/** With more workers than this, the panel scrolls. */
const manyWorkers = 5;

export function WorkersPanel({ store, ownId, owner }: WorkersProps) {
  const workers = store.workers.value;
  // The buttons of a removed worker disappear with it.
  const kept = useKeptFocus<HTMLElement>(workers.filter(isConnected).length);
  const named: ViewColumn<ShownWorker> = {
    ...columns.name,
    cell: ({ id, name }) => (
      <>
        <span class="worker-id">{id}</span> {id === ownId && <span class="tag">this tab</span>} {name}
      </>
    ),
  };
  const actions: ViewColumn<ShownWorker> = {
    title: 'Edit',
    class: `actions ${store.isOwner.value ? '' : 'hidden'}`,
    text: () => '',
    cell: (worker) => owner && isConnected(worker) && <WorkerActions worker={worker} owner={owner} />,
  };
  const { name: _, ...rest } = { ...columns, speed: speedIn(sampleUnitOf(store.run.value)) };
  return (
    <Card name="workers" title="Workers" aside={countText(workers)}>
      <DataTable
        label="Table of workers"
        class="workers"
        regionClass={workers.length > manyWorkers ? 'many' : ''}
        region={kept}
        columns={[named, ...Object.values<ViewColumn<ShownWorker>>(rest), ...(owner ? [actions] : [])]}
        rows={workers}
        keyOf={({ id }) => id}
        hasRowHeadings
        rowProps={({ health, phase }) => ({ class: `worker worker-${health}`, 'data-phase': phase })}
      >
        {workers.length === 0 && <p class="empty">No workers yet. Training begins when one joins.</p>}
      </DataTable>
    </Card>
  );
}

function countText(workers: readonly ShownWorker[]): string {
  const finished = workers.filter(({ health }) => health === 'finished').length;
  if (finished > 0) return `${plural(finished, 'worker')} at the end`;
  const unknown = workers.filter(({ health }) => health === 'unknown').length;
  if (unknown > 0) return `${plural(unknown, 'worker')} at last contact`;
  const connected = workers.filter(isConnected);
  const computing = connected.filter(({ health }) => health !== 'idle').length;
  return `${plural(connected.length, 'worker')} connected, ${computing} computing`;
}

const faultTitles = { kill: 'Kill', freeze: 'Freeze', slow: 'Slow' } as const satisfies Record<FaultAction, string>;

type Step = 'closed' | 'choosing' | 'naming' | 'removing';

interface WorkerActionsProps {
  readonly worker: ShownWorker;
  readonly owner: WorkerOwner;
}

/** Renames the worker, removes it and, with fault injection, makes it fail. */
function WorkerActions({ worker, owner }: WorkerActionsProps) {
  const step = useSignal<Step>('closed');
  const kept = useKeptFocus<HTMLSpanElement>(step.value);
  const { id, name, kind } = worker;
  // Buttons have no keys: after Remove, the focus is on Keep, which takes its place.
  const action = (title: string, onPress: () => void, look = '') => (
    <button type="button" class={`small ${look}`} aria-label={`${title} ${id} ${name}`} onClick={onPress}>
      {title}
    </button>
  );
  const go = (next: Step) => (): void => {
    step.value = next;
  };
  // A fault in the coordinator's own worker would stop the whole run.
  const injectFault = kind === 'local' ? undefined : owner.injectFault;
  const contents: Readonly<Record<Step, () => ComponentChildren>> = {
    closed: () => action('Edit', go('choosing')),
    naming: () => <NameForm worker={worker} onName={(given) => owner.rename(id, given)} onEnd={go('closed')} />,
    removing: () => [action('Remove for good', () => owner.remove(id), 'danger'), action('Keep', go('closed'))],
    choosing: () => [
      action('Rename', go('naming')),
      action('Remove', go('removing')),
      injectFault &&
        (Object.keys(faultTitles) as FaultAction[]).map((fault) =>
          action(faultTitles[fault], () => injectFault(fault, id)),
        ),
      action('Done', go('closed')),
    ],
  };
  return (
    <span ref={kept} class="worker-actions">
      {contents[step.value]()}
    </span>
  );
}

interface NameFormProps {
  readonly worker: Pick<ShownWorker, 'id' | 'name'>;
  readonly onName: (name: string) => void;
  readonly onEnd: () => void;
}

export function NameForm({ worker: { id, name }, onName, onEnd }: NameFormProps) {
  const given = useSignal(name);
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = printableText(given.value);
    if (text !== '' && text !== name) onName(text);
    onEnd();
  };
  return (
    <form class="name-form" onSubmit={submit} onKeyDown={({ key }) => key === 'Escape' && onEnd()}>
      <input
        aria-label={`Name of ${id} ${name}`}
        maxLength={80}
        autocomplete="off"
        spellcheck={false}
        ref={(input) => input?.focus()}
        {...bindInput(given)}
      />
      <button type="submit" class="small" aria-label={`Save the name of ${id} ${name}`}>
        Save
      </button>
    </form>
  );
}
