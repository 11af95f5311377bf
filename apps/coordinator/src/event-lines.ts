/** What a person is told when somebody comes, goes, or does something wrong. */
import type { FaultAction } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent, WorkerRecord } from '@lockstep/training';

/** A worker that stays late is told of so often, with how many times it was. */
const lateEveryMs = 30_000;

/** Turns notices into lines: one for each, but not one for each step of a worker that stays late. */
export function createEventLines(nowMs: () => number): typeof eventLine {
  const lateness = new Map<string, { readonly toldAtMs: number; readonly untold: number }>();
  return (event, state) => {
    const line = eventLine(event, state);
    if (event.type !== 'late' || line === undefined) return line;
    const now = nowMs();
    const before = lateness.get(event.workerId);
    if (before && now - before.toldAtMs < lateEveryMs) {
      lateness.set(event.workerId, { ...before, untold: before.untold + 1 });
      return undefined;
    }
    lateness.set(event.workerId, { toldAtMs: now, untold: 0 });
    if (!before || before.untold === 0) return line;
    const times = before.untold === 1 ? 'once' : `${before.untold} times`;
    return `${line} (and ${times} more in the last ${Math.round((now - before.toldAtMs) / 1000)} s)`;
  };
}

/** One line, or undefined where nothing needs to be said. */
export function eventLine(event: RunEvent, { records }: CoordinatorState): string | undefined {
  switch (event.type) {
    case 'joined': {
      const worker = records.get(event.workerId);
      if (!worker) return undefined;
      const { kind, backend, threads } = worker;
      const with_ = threads === 1 ? '' : `, ${threads} threads`;
      return `${nameOf(worker)} ${event.returned ? 'is back' : 'joined'} (${kind}, ${backend}${with_})`;
    }
    case 'left':
      return `${nameOf(records.get(event.workerId))} left: ${event.message}`;
    case 'rejected':
      return `rejected from ${nameOf(records.get(event.workerId ?? ''))}: ${event.message}`;
    case 'late':
      return `${nameOf(records.get(event.workerId))} is late with step ${event.step + 1}: its work goes to others too`;
    case 'slowLink': {
      const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1_000 ? 2 : 1)} s`;
      const spent = `${seconds(event.networkMs)} of a step, computing ${seconds(event.computeMs)}`;
      return `the link of ${nameOf(records.get(event.workerId))} takes ${spent}: a larger --batch or --gradients int8 would help`;
    }
    case 'quarantined': {
      const before =
        event.shards === 0 ? 'none of its results was added' : `${event.shards} of its results had been added`;
      return `${nameOf(records.get(event.workerId))} is quarantined: ${event.message}; ${before}`;
    }
    case 'started':
      return undefined;
    case 'paused':
      return 'paused: no worker is left; training goes on when one joins';
    case 'resumed':
      return 'training goes on';
    case 'pauseRequested':
      return 'paused from the dashboard, at the end of this step';
    case 'injectFault':
      return `${nameOf(records.get(event.workerId))} is told to ${troubles[event.action]}`;
    default:
      return event satisfies never;
  }
}

const troubles: Readonly<Record<FaultAction, string>> = { kill: 'die', freeze: 'freeze', slow: 'slow down' };

function nameOf(worker: WorkerRecord | undefined): string {
  return worker ? `${worker.id} ${worker.name}` : 'a stranger';
}
