/** The workers: what each computes on, its share of the work or why it has none, and where its time goes. */
import { useSignal } from '@preact/signals';
import { counted } from '../look/format.ts';
import { useKeptFocus } from '../look/keep-focus.ts';
import type { RunStore } from '../watch/run-store.ts';
import type { ShownWorker } from '../watch/status.ts';
import { Card } from './card.tsx';
import { ColumnTitles } from './column-titles.tsx';
import { type Columns, inOrder, type Order } from './table-order.ts';
import { WorkerActions, type WorkerOwner } from './worker-actions.tsx';
import { type ColumnName, columns, isConnected } from './worker-columns.ts';

interface WorkersProps {
  readonly store: RunStore;
  readonly ownId: string | undefined;
  /** Actions of the run's owner on a worker; absent for guests. */
  readonly owner: WorkerOwner | undefined;
  /** Whether the coordinator has accepted the admin token. The owner's buttons keep their place until it answers. */
  readonly isOwner: boolean;
}

const allColumns: Columns<ColumnName, ShownWorker> = columns;
const names = Object.keys(columns) as ColumnName[];
/** With more workers than this, the panel scrolls. */
const manyWorkers = 5;

export function Workers({ store, ownId, owner, isOwner }: WorkersProps) {
  const order = useSignal<Order<ColumnName> | undefined>(undefined);
  const workers = store.workers.value;
  // The buttons of a removed worker disappear with it.
  const kept = useKeptFocus<HTMLElement>(workers.filter(isConnected).length);
  return (
    <Card name="workers" title="Workers" aside={countText(workers)}>
      <section
        ref={kept}
        class={workers.length > manyWorkers ? 'scroll many' : 'scroll'}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        aria-label="Table of workers"
      >
        <table class="workers">
          <thead>
            <tr>
              <ColumnTitles columns={allColumns} order={order} />
              {owner && (
                <th scope="col" class="actions">
                  <span class="sr-only">Edit</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {inOrder(allColumns, workers, order.value).map((worker) => (
              <Row key={worker.id} worker={worker} isOwn={worker.id === ownId} owner={owner} isOwner={isOwner} />
            ))}
          </tbody>
        </table>
        {workers.length === 0 && <p class="empty">No workers yet. Training begins when one joins.</p>}
      </section>
    </Card>
  );
}

/** A fault in the coordinator's own worker would stop the whole run. */
function withoutFaults(owner: WorkerOwner): WorkerOwner {
  return { ...owner, injectFault: undefined };
}

function countText(workers: readonly ShownWorker[]): string {
  const finished = workers.filter(({ health }) => health === 'finished').length;
  if (finished > 0) return `${counted(finished, 'worker')} at the end`;
  const unknown = workers.filter(({ health }) => health === 'unknown').length;
  if (unknown > 0) return `${counted(unknown, 'worker')} when last heard of`;
  const connected = workers.filter(isConnected);
  const computing = connected.filter(({ health }) => health !== 'idle').length;
  return `${counted(connected.length, 'worker')} connected, ${computing} computing`;
}

interface RowProps extends Pick<WorkersProps, 'owner' | 'isOwner'> {
  readonly worker: ShownWorker;
  readonly isOwn: boolean;
}

function Row({ worker, isOwn, owner, isOwner }: RowProps) {
  const { id, name, kind, phase, health } = worker;
  return (
    <tr class={`worker worker-${health}`} data-phase={phase}>
      <th scope="row" title={name}>
        <span class="worker-id">{id}</span> {isOwn && <span class="tag">this tab</span>} {name}
      </th>
      {names
        .filter((column) => column !== 'name')
        .map((column) => (
          <Cell key={column} name={column} worker={worker} />
        ))}
      {owner && (
        <td class={`actions ${isOwner ? '' : 'hidden'}`}>
          {isConnected(worker) && (
            <WorkerActions id={id} name={name} owner={kind === 'local' ? withoutFaults(owner) : owner} />
          )}
        </td>
      )}
    </tr>
  );
}

function Cell({ name, worker }: { readonly name: ColumnName; readonly worker: ShownWorker }) {
  const { text, isNumber } = allColumns[name];
  const { health, share } = worker;
  if (name === 'health') {
    return (
      <td>
        <span class={`health health-${health}`}>{text(worker)}</span>
      </td>
    );
  }
  if (name === 'share') {
    return (
      <td class="number">
        {text(worker)}
        <svg class="share" aria-hidden="true" focusable="false">
          <rect width={`${share * 100}%`} height="100%" />
        </svg>
      </td>
    );
  }
  return <td class={isNumber ? 'number' : ''}>{isNumber && !isConnected(worker) ? '–' : text(worker)}</td>;
}
