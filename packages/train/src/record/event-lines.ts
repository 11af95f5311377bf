/** Turns events of the rules into events for people, each with one line. */
import type { FaultAction } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent, WorkerRecord } from '@lockstep/rules';
import type { PauseEvent, WorkerEvent } from '../events.ts';

/** Interval of lines about a worker that stays late, each of which says how many times it was late. */
const lateEveryMs = 30_000;

/** Makes one event for each event of the rules, except that a worker that stays late does not get one for each step. */
export class EventLines {
  readonly #nowMs: () => number;
  /** By worker: when its last line was written, and how many have been omitted since. */
  readonly #lateLines = new Map<string, { readonly writtenAtMs: number; omitted: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Undefined for events without a line. */
  eventOf(event: RunEvent, { records }: CoordinatorState): WorkerEvent | PauseEvent | undefined {
    const told = toldEvent(event, records);
    if (event.type !== 'late' || told === undefined) return told;
    const nowMs = this.#nowMs();
    const last = this.#lateLines.get(event.workerId);
    if (last && nowMs - last.writtenAtMs < lateEveryMs) {
      last.omitted += 1;
      return undefined;
    }
    this.#lateLines.set(event.workerId, { writtenAtMs: nowMs, omitted: 0 });
    if (!last || last.omitted === 0) return told;
    const times = last.omitted === 1 ? 'once' : `${last.omitted} times`;
    const seconds = Math.round((nowMs - last.writtenAtMs) / 1000);
    return { ...told, message: `${told.message} (and ${times} more in the last ${seconds} s)` };
  }
}

function toldEvent(event: RunEvent, records: ReadonlyMap<string, WorkerRecord>): WorkerEvent | PauseEvent | undefined {
  if (event.type === 'started' || event.type === 'relayStatus') return undefined;
  if (event.type === 'paused' || event.type === 'resumed' || event.type === 'pauseRequested') {
    return { type: event.type, message: pauseLines[event.type] };
  }
  const { workerId = '' } = event;
  const record = records.get(workerId);
  const worker = { id: workerId, name: record?.name ?? 'an unknown client' };
  const who = record ? `${record.id} ${record.name}` : 'an unknown client';
  switch (event.type) {
    case 'joined': {
      if (!record) return undefined;
      const { returned } = event;
      const { kind, backend, threads } = record;
      const computing = threads === 1 ? '' : `, ${threads} threads`;
      const message = `${who} ${returned ? 'is back' : 'joined'} (${kind}, ${backend}${computing})`;
      return { type: 'joined', message, worker: { ...worker, kind, backend, threads }, returned };
    }
    case 'left':
      return { type: 'left', message: `${who} left: ${event.message}`, worker };
    case 'rejected': {
      const message = `rejected from ${who}: ${event.message}`;
      return { type: 'rejected', message, worker: event.workerId === undefined ? undefined : worker };
    }
    case 'late': {
      const step = event.step + 1;
      return {
        type: 'late',
        message: `${who} is late with step ${step}: other workers get its work, too`,
        worker,
        step,
      };
    }
    case 'slowLink': {
      const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1_000 ? 2 : 1)} s`;
      const spent = `${seconds(event.networkMs)} of a step, computing ${seconds(event.computeMs)}`;
      const message = `the link of ${who} takes ${spent}: a larger batch or --gradients fp16-exact would help`;
      return { type: 'slowLink', message, worker };
    }
    case 'quarantined': {
      const { shards } = event;
      const before = shards === 0 ? 'none of its results was added' : `${shards} of its results had been added`;
      return { type: 'quarantined', message: `${who} is quarantined: ${event.message}; ${before}`, worker, shards };
    }
    case 'renamed': {
      const { before } = event;
      return { type: 'renamed', message: `${who} was ${before} until now`, worker, before };
    }
    case 'injectFault': {
      const { action } = event;
      return { type: 'injectFault', message: `${who} is made to ${faults[action]}`, worker, action };
    }
    default:
      return event satisfies never;
  }
}

const faults: Readonly<Record<FaultAction, string>> = { kill: 'die', freeze: 'freeze', slow: 'slow down' };

const pauseLines: Readonly<Record<PauseEvent['type'], string>> = {
  paused: 'paused: no worker is left; training resumes when one joins',
  resumed: 'training resumes',
  pauseRequested: 'paused from the dashboard, at the end of this step',
};
