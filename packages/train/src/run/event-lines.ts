/** Events of a run as lines for people. */
import type { FaultAction } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent, WorkerRecord } from '@lockstep/training';

/** A worker that stays late gets a line this often, with how many times it was late. */
const lateEveryMs = 30_000;

/** One line for each event, but not one for each step of a worker that stays late. */
export class EventLines {
  readonly #nowMs: () => number;
  /** By worker: when its last line was printed, and how many have been left out since. */
  readonly #lateLines = new Map<string, { readonly printedAtMs: number; leftOut: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  lineOf(event: RunEvent, state: CoordinatorState): string | undefined {
    const line = eventLine(event, state);
    if (event.type !== 'late' || line === undefined) return line;
    const nowMs = this.#nowMs();
    const last = this.#lateLines.get(event.workerId);
    if (last && nowMs - last.printedAtMs < lateEveryMs) {
      last.leftOut += 1;
      return undefined;
    }
    this.#lateLines.set(event.workerId, { printedAtMs: nowMs, leftOut: 0 });
    if (!last || last.leftOut === 0) return line;
    const times = last.leftOut === 1 ? 'once' : `${last.leftOut} times`;
    return `${line} (and ${times} more in the last ${Math.round((nowMs - last.printedAtMs) / 1000)} s)`;
  }
}

function eventLine(event: RunEvent, { records }: CoordinatorState): string | undefined {
  const nameOf = (workerId: string): string => workerName(records.get(workerId));
  switch (event.type) {
    case 'joined': {
      const worker = records.get(event.workerId);
      if (!worker) return undefined;
      const threads = worker.threads === 1 ? '' : `, ${worker.threads} threads`;
      const how = event.returned ? 'is back' : 'joined';
      return `${workerName(worker)} ${how} (${worker.kind}, ${worker.backend}${threads})`;
    }
    case 'left':
      return `${nameOf(event.workerId)} left: ${event.message}`;
    case 'rejected':
      return `rejected from ${nameOf(event.workerId ?? '')}: ${event.message}`;
    case 'late':
      return `${nameOf(event.workerId)} is late with step ${event.step + 1}: other workers get its work, too`;
    case 'slowLink': {
      const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1_000 ? 2 : 1)} s`;
      const spent = `${seconds(event.networkMs)} of a step, computing ${seconds(event.computeMs)}`;
      return `the link of ${nameOf(event.workerId)} takes ${spent}: a larger batch or gradients as fp16-exact would help`;
    }
    case 'quarantined': {
      const before =
        event.shards === 0 ? 'none of its results was added' : `${event.shards} of its results had been added`;
      return `${nameOf(event.workerId)} is quarantined: ${event.message}; ${before}`;
    }
    case 'renamed':
      return `${nameOf(event.workerId)} was ${event.before} until now`;
    case 'started':
    case 'relayStatus':
      return undefined;
    case 'paused':
      return 'paused: no worker is left; training resumes when one joins';
    case 'resumed':
      return 'training resumes';
    case 'pauseRequested':
      return 'paused from the dashboard, at the end of this step';
    case 'injectFault':
      return `${nameOf(event.workerId)} is made to ${faults[event.action]}`;
    default:
      return event satisfies never;
  }
}

const faults: Readonly<Record<FaultAction, string>> = { kill: 'die', freeze: 'freeze', slow: 'slow down' };

function workerName(worker: WorkerRecord | undefined): string {
  return worker ? `${worker.id} ${worker.name}` : 'an unknown client';
}
