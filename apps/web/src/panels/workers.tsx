/** The workers: what each computes on, its share of the work, and where its time goes. */
import type { FaultAction } from '@lockstep/protocol';
import { backendLabel } from '../join/backends.ts';
import { counted, millisecondsText, percent, whole } from '../look/format.ts';
import type { RunStore, WorkerRow } from '../watch/run-store.ts';
import { Card } from './card.tsx';

interface WorkersProps {
  readonly store: RunStore;
  readonly ownId: string | undefined;
  readonly onInjectFault: ((action: FaultAction, workerId: string) => void) | undefined;
}

const numberColumns = [
  { title: 'Samples/s', unit: undefined, text: (worker: WorkerRow) => whole(worker.samplesPerSecond) },
  { title: 'Compute', unit: 'ms', text: (worker: WorkerRow) => millisecondsText(worker.computeMs) },
  { title: 'Send', unit: 'ms', text: (worker: WorkerRow) => millisecondsText(worker.sendMs) },
  { title: 'Wait', unit: 'ms', text: (worker: WorkerRow) => millisecondsText(worker.waitMs) },
] as const;

export function Workers({ store, ownId, onInjectFault }: WorkersProps) {
  const workers = store.workers.value;
  const connected = workers.filter(({ health }) => health !== 'gone').length;
  return (
    <Card name="workers" title="Workers" aside={`${counted(connected, 'worker')} connected`}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section class="scroll" tabIndex={0} aria-label="Table of workers">
        <table class="workers">
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">Computes on</th>
              <th scope="col">Health</th>
              <th scope="col" class="number">
                Share
              </th>
              {numberColumns.map(({ title, unit }) => (
                <th key={title} scope="col" class="number">
                  {title} {unit && <small>{unit}</small>}
                </th>
              ))}
              {onInjectFault && (
                <th scope="col" class="faults">
                  Inject fault
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {workers.map((worker) => (
              <Row key={worker.id} worker={worker} isOwn={worker.id === ownId} onInjectFault={onInjectFault} />
            ))}
          </tbody>
        </table>
        {workers.length === 0 && <p class="empty">No workers yet. Training begins when one joins.</p>}
      </section>
    </Card>
  );
}

interface RowProps extends Pick<WorkersProps, 'onInjectFault'> {
  readonly worker: WorkerRow;
  readonly isOwn: boolean;
}

function Row({ worker, isOwn, onInjectFault }: RowProps) {
  const { id, name, kind, backend, threads, share, health } = worker;
  const isConnected = health !== 'gone';
  return (
    <tr class={`worker worker-${health}`}>
      <th scope="row">
        <span class="worker-id">{id}</span> {name} {isOwn && <span class="tag">this tab</span>}
      </th>
      <td>
        <span class="kind">{kindTitles[kind]}</span> {backendLabel(backend)}
        {threads > 1 ? `, ${threads} threads` : ''}
      </td>
      <td>
        <span class={`health health-${health}`}>{healthTitle(worker)}</span>
      </td>
      <td class="number">
        {percent(share, 1)}
        <svg class="share" aria-hidden="true" focusable="false">
          <rect width={`${share * 100}%`} height="100%" />
        </svg>
      </td>
      {numberColumns.map(({ title, text }) => (
        <td key={title} class="number">
          {isConnected ? text(worker) : '–'}
        </td>
      ))}
      {onInjectFault && (
        <td class="faults">
          {isConnected && <FaultButtons label={`${id} ${name}`} onInject={(action) => onInjectFault(action, id)} />}
        </td>
      )}
    </tr>
  );
}

const faultTitles = { kill: 'Kill', freeze: 'Freeze', slow: 'Slow' } as const satisfies Record<FaultAction, string>;

function FaultButtons({ label, onInject }: { label: string; onInject: (action: FaultAction) => void }) {
  return (Object.keys(faultTitles) as FaultAction[]).map((action) => {
    const title = faultTitles[action];
    return (
      <button
        key={action}
        type="button"
        class="small"
        aria-label={`${title} ${label}`}
        onClick={() => onInject(action)}
      >
        {title}
      </button>
    );
  });
}

const kindTitles: Readonly<Record<WorkerRow['kind'], string>> = { browser: 'Tab', node: 'Node', local: 'Local' };

function healthTitle({ health, phase, hidden }: WorkerRow): string {
  if (health !== 'good') return health;
  if (phase !== 'ready') return 'joining';
  return hidden ? 'good, hidden' : 'good';
}
