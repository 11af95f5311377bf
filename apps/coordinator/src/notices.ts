/** What a person is told when somebody comes, goes, or does something wrong. */
import type { ChaosAction } from '@lockstep/protocol';
import type { CoordinatorState, Notice, WorkerRecord } from '@lockstep/training';

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
