/** What a person is told when somebody comes, goes, or does something wrong. */
import type { ChaosAction } from '@lockstep/protocol';
import type { CoordinatorState, Notice, WorkerRecord } from '@lockstep/training';

/** A worker that stays late is told of so often, with how many times it was. */
const lateEveryMs = 30_000;

/** Turns notices into lines: one for each, but not one for each step of a worker that stays late. */
export function createNoticeLines(nowMs: () => number): typeof noticeLine {
  const lateness = new Map<string, { readonly toldAtMs: number; readonly untold: number }>();
  return (notice, state) => {
    const line = noticeLine(notice, state);
    if (notice.type !== 'late' || line === undefined) return line;
    const now = nowMs();
    const before = lateness.get(notice.workerId);
    if (before && now - before.toldAtMs < lateEveryMs) {
      lateness.set(notice.workerId, { ...before, untold: before.untold + 1 });
      return undefined;
    }
    lateness.set(notice.workerId, { toldAtMs: now, untold: 0 });
    if (!before || before.untold === 0) return line;
    const times = before.untold === 1 ? 'once' : `${before.untold} times`;
    return `${line} (and ${times} more in the last ${Math.round((now - before.toldAtMs) / 1000)} s)`;
  };
}

/** One line, or undefined where nothing needs to be said. */
export function noticeLine(notice: Notice, { records }: CoordinatorState): string | undefined {
  switch (notice.type) {
    case 'joined': {
      const worker = records.get(notice.workerId);
      if (!worker) return undefined;
      const { kind, backend, threads } = worker;
      const with_ = threads === 1 ? '' : `, ${threads} threads`;
      return `${nameOf(worker)} ${notice.returned ? 'is back' : 'joined'} (${kind}, ${backend}${with_})`;
    }
    case 'left':
      return `${nameOf(records.get(notice.workerId))} left: ${notice.sentence}`;
    case 'rejected':
      return `rejected from ${nameOf(records.get(notice.workerId ?? ''))}: ${notice.sentence}`;
    case 'late':
      return `${nameOf(records.get(notice.workerId))} is late with step ${notice.step + 1}: its work goes to others too`;
    case 'started':
      return undefined;
    case 'paused':
      return 'paused: no worker is left; training goes on when one joins';
    case 'resumed':
      return 'training goes on';
    case 'held':
      return 'paused from the dashboard, at the end of this step';
    case 'chaos':
      return `${nameOf(records.get(notice.workerId))} is told to ${troubles[notice.action]}`;
    default:
      return notice satisfies never;
  }
}

const troubles: Readonly<Record<ChaosAction, string>> = { kill: 'die', freeze: 'freeze', slow: 'slow down' };

function nameOf(worker: WorkerRecord | undefined): string {
  return worker ? `${worker.id} ${worker.name}` : 'a stranger';
}
