/** The one status of run and tab, as far as this page knows: derived from the last message received and the time since. */
import type { TabState } from '@lockstep/worker/browser';
import type { Connection, Progress, WorkerRow } from './run-store.ts';

export type StatusName =
  /** Nothing has been received yet. */
  | 'connecting'
  | 'waiting'
  | 'training'
  | 'paused'
  | 'finished'
  /** As a person wished. */
  | 'stopped'
  | 'failed'
  /** Connected, but nothing arrives: the coordinator is frozen, or the connection broke without notice. */
  | 'silent'
  /** The connection broke, or was never made. */
  | 'gone'
  | 'offline'
  /** A code or token is needed, and this page was given none. */
  | 'locked'
  | 'wrong-code'
  /** The coordinator did not let this page in for another reason. */
  | 'refused';

export interface Status {
  readonly name: StatusName;
  readonly title: string;
  /** Why the run has this status and what to try, in sentences. */
  readonly reason?: string;
  /** Whether the run is now as the page shows it. */
  readonly isCurrent: boolean;
}

/** The messages that this page has received, and how long ago. */
export interface Received {
  readonly connection: Connection;
  readonly progress: Progress | undefined;
  /** Whether there is a server without a run. */
  readonly waitsForData: boolean;
  /** Milliseconds since the last message, or since the page was opened. */
  readonly silentMs: number;
  /** Whether the browser has a network. */
  readonly isOnline: boolean;
}

/** The coordinator sends something at least every two seconds, so a longer silence is not chance. */
export const quietMs = 5_000;

export function statusOf(received: Received): Status {
  const { connection, progress } = received;
  if (connection.phase === 'refused') return refusal(connection);
  if (progress && isOver(progress)) return endOf(progress);
  return interruption(received) ?? liveStatus(received);
}

/** Nothing can change in a run that is over, so its figures stay true without a connection. */
export function isOver({ phase }: Pick<Progress, 'phase'>): boolean {
  return phase === 'finished' || phase === 'failed';
}

/** Whether the page has not been let in for want of the right code. */
export function needsCode({ name }: Status): boolean {
  return name === 'locked' || name === 'wrong-code';
}

function refusal({ reason, given }: Extract<Connection, { phase: 'refused' }>): Status {
  if (given === 'nothing') {
    return { name: 'locked', title: 'Code needed', isCurrent: false };
  }
  if (given === 'token') return { name: 'wrong-code', title: 'Wrong code', reason: sentence(reason), isCurrent: false };
  return { name: 'refused', title: 'Not connected', reason: `Not connected: ${reason}.`, isCurrent: false };
}

function endOf({ phase, ending }: Progress): Status {
  const about = { isCurrent: true, ...(ending && { reason: sentence(ending.message) }) };
  if (phase === 'finished') return { name: 'finished', title: 'Finished', ...about };
  if (ending?.type === 'failed') return { name: 'failed', title: 'Failed', ...about };
  return { name: 'stopped', title: 'Stopped', ...about };
}

/** Why nothing is known of the run at the moment. */
function interruption({ connection, progress, silentMs, isOnline }: Received): Status | undefined {
  const isQuiet = silentMs >= quietMs;
  if (!isOnline && (isQuiet || connection.phase !== 'live')) {
    const reason = 'This device has no network. The page connects again by itself.';
    return { name: 'offline', title: 'No network', reason, isCurrent: false };
  }
  if (connection.phase === 'lost') {
    const title = progress ? 'Connection lost' : 'Not connected';
    return { name: 'gone', title, reason: `Not connected: ${connection.reason}. Trying again …`, isCurrent: false };
  }
  if (isQuiet) {
    const reason = `The coordinator has sent nothing for ${Math.floor(silentMs / 1000)} s: it is frozen or very busy, or the network is.`;
    return { name: 'silent', title: 'Coordinator silent', reason, isCurrent: false };
  }
  if (connection.phase === 'connecting') {
    return { name: 'connecting', title: progress ? 'Connecting again' : 'Connecting', isCurrent: false };
  }
  return undefined;
}

function liveStatus({ progress, waitsForData }: Received): Status {
  if (waitsForData) return { name: 'waiting', title: 'Waiting for data', isCurrent: true };
  if (!progress) return { name: 'connecting', title: 'Connecting', isCurrent: false };
  const { phase, pauseRequested } = progress;
  if (phase === 'waiting') {
    return { name: 'waiting', title: pauseRequested ? 'Waiting for start' : 'Waiting for workers', isCurrent: true };
  }
  if (phase === 'paused') {
    return { name: 'paused', title: pauseRequested ? 'Paused' : 'Paused: no workers', isCurrent: true };
  }
  return { name: 'training', title: 'Training', isCurrent: true };
}

/** Starts with a capital letter and ends with a full stop. */
function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

/** A row of the table: while nothing is known of the run, all that is known of its workers is who has left. */
export interface ShownWorker extends Omit<WorkerRow, 'health'> {
  readonly health: WorkerRow['health'] | 'unknown';
}

export function shownWorker(row: WorkerRow, { isCurrent }: Status): ShownWorker {
  if (isCurrent || row.health === 'gone' || row.health === 'finished') return row;
  const { idle: _, ...rest } = row;
  return { ...rest, health: 'unknown' };
}

export interface TabStatus {
  /** Decides the color. */
  readonly name: 'watching' | 'ended' | 'starting' | 'resting' | 'computing';
  readonly title: string;
}

export const idleTexts: Readonly<Record<NonNullable<WorkerRow['idle']>, string>> = {
  joining: 'joining',
  waiting: 'until the start',
  paused: 'while paused',
  trial: 'shows its speed first',
  outnumbered: 'more workers than work',
  slow: 'too slow',
  rotation: 'takes turns',
};

/** @param own this tab's row in the table of workers; undefined until it has one */
export function tabStatusOf(tab: TabState, run: Status, own: ShownWorker | undefined): TabStatus {
  if (tab.phase === 'watching') return { name: 'watching', title: 'watching' };
  if (tab.phase === 'ended') return { name: 'ended', title: tab.end };
  if (run.name === 'finished' || run.name === 'stopped' || run.name === 'failed') {
    return { name: 'resting', title: 'waiting for the next run' };
  }
  if (tab.phase !== 'computing') return { name: 'starting', title: tab.phase };
  if (!run.isCurrent) return { name: 'starting', title: 'waiting for the coordinator' };
  if (run.name === 'waiting') return { name: 'resting', title: 'ready' };
  if (run.name === 'paused') return { name: 'resting', title: 'paused' };
  if (own?.health === 'idle' && own.idle !== undefined) {
    return { name: 'resting', title: `resting: ${idleTexts[own.idle]}` };
  }
  return { name: 'computing', title: 'computing' };
}
