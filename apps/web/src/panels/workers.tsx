/** Who takes part: what each computes on, how much of the work it did, and where its time goes. */
import type { FaultAction } from '@lockstep/protocol';
import { backendName } from '../join/backends.ts';
import { counted, millisecondsText, percent, whole } from '../look/format.ts';
import type { Room, WorkerRow } from '../watch/room.ts';

export interface WorkersProps {
  readonly room: Room;
  /** This tab's worker, if it has one. */
  readonly ownId: string | undefined;
  /** Present where this page may make trouble. */
  readonly onInjectFault: ((action: FaultAction, workerId: string) => void) | undefined;
}

const faultButtons: readonly { readonly action: FaultAction; readonly label: string }[] = [
  { action: 'kill', label: 'Kill' },
  { action: 'freeze', label: 'Freeze' },
  { action: 'slow', label: 'Slow' },
];

export function Workers({ room, ownId, onInjectFault }: WorkersProps) {
  const workers = room.workers.value;
  const present = workers.filter(({ health }) => health !== 'gone').length;
  return (
    <section class="card workers-card" aria-labelledby="workers-title">
      <header class="card-head">
        <h2 id="workers-title">Workers</h2>
        <p class="aside">{counted(present, 'worker')} here</p>
      </header>
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
              <th scope="col" class="number">
                Images/s
              </th>
              <th scope="col" class="number">
                Compute <small>ms</small>
              </th>
              <th scope="col" class="number">
                Send <small>ms</small>
              </th>
              <th scope="col" class="number">
                Wait <small>ms</small>
              </th>
              {onInjectFault && (
                <th scope="col" class="trouble">
                  Trouble
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
        {workers.length === 0 && <p class="empty">Nobody is here yet. Training begins when a worker joins.</p>}
      </section>
    </section>
  );
}

interface RowProps extends Pick<WorkersProps, 'onInjectFault'> {
  readonly worker: WorkerRow;
  readonly isOwn: boolean;
}

function Row({ worker, isOwn, onInjectFault }: RowProps) {
  const { id, name, kind, backend, threads, share, computeMs, sendMs, waitMs, health, samplesPerSecond } = worker;
  const isHere = health !== 'gone';
  const number = (text: string) => <td class="number">{isHere ? text : '–'}</td>;
  return (
    <tr class={`worker worker-${health}`}>
      <th scope="row">
        <span class="worker-id">{id}</span> {name} {isOwn && <span class="tag">this tab</span>}
      </th>
      <td>
        <span class="kind">{kindTitle(kind)}</span> {backendName(backend)}
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
      {number(whole(samplesPerSecond))}
      {number(millisecondsText(computeMs))}
      {number(millisecondsText(sendMs))}
      {number(millisecondsText(waitMs))}
      {onInjectFault && (
        <td class="trouble">
          {isHere &&
            faultButtons.map(({ action, label }) => (
              <button
                key={action}
                type="button"
                class="small"
                aria-label={`${label} ${id} ${name}`}
                onClick={() => onInjectFault(action, id)}
              >
                {label}
              </button>
            ))}
        </td>
      )}
    </tr>
  );
}

function kindTitle(kind: WorkerRow['kind']): string {
  switch (kind) {
    case 'browser':
      return 'Tab';
    case 'node':
      return 'Node';
    case 'local':
      return 'Local';
    default:
      return kind satisfies never;
  }
}

function healthTitle({ health, phase, hidden }: WorkerRow): string {
  if (health === 'gone') return 'gone';
  if (health === 'late') return 'late';
  if (phase !== 'ready') return 'joining';
  return hidden ? 'good, hidden' : 'good';
}
