/** What the run is doing as far as this page knows: the state of the run and that of the connection as one. */
import type { Connection, Progress } from './run-store.ts';

export type StatusName =
  | 'connecting'
  /** No connection: what the page shows may no longer be so. */
  | 'lost'
  | 'waiting'
  | 'training'
  | 'paused'
  | 'finished'
  /** As a person wished. */
  | 'stopped'
  | 'failed';

export interface Status {
  readonly name: StatusName;
  readonly title: string;
  /** Of a run that ended before its last step: why, and what to try. */
  readonly reason?: string | undefined;
}

/** @param waitsForData whether there is a server without a run */
export function statusOf(connection: Connection, progress: Progress | undefined, waitsForData = false): Status {
  if (progress && isOver(progress)) return endOf(progress);
  if (connection.phase === 'lost') return { name: 'lost', title: progress ? 'Connection lost' : 'Not connected' };
  if (connection.phase === 'refused') return { name: 'lost', title: 'Not connected' };
  if (connection.phase === 'connecting' && progress) return { name: 'lost', title: 'Connecting again' };
  if (waitsForData && connection.phase === 'live') return { name: 'waiting', title: 'Waiting for data' };
  if (!progress || connection.phase === 'connecting') return { name: 'connecting', title: 'Connecting' };
  return liveStatus(progress);
}

/** Nothing can change of a run that is over, so a connection that is gone does not matter. */
export function isOver({ phase }: Pick<Progress, 'phase'>): boolean {
  return phase === 'finished' || phase === 'failed';
}

function endOf({ phase, ending }: Progress): Status {
  if (phase === 'finished') return { name: 'finished', title: 'Finished' };
  if (ending?.type === 'failed') return { name: 'failed', title: 'Failed', reason: ending.message };
  return { name: 'stopped', title: 'Stopped', reason: ending?.message };
}

function liveStatus({ phase, pauseRequested }: Progress): Status {
  switch (phase) {
    case 'waiting':
      return { name: 'waiting', title: pauseRequested ? 'Waiting for start' : 'Waiting for workers' };
    case 'paused':
      return { name: 'paused', title: pauseRequested ? 'Paused' : 'Paused: no workers' };
    default:
      return { name: 'training', title: 'Training' };
  }
}
