/** The status of the run and of this tab, derived from the last message received and the time since. */
import type { ProgressMessage, WatchMessageOf } from '@lockstep/protocol';
import type { TabState } from '@lockstep/worker/browser';
import { capitalized } from '../look/format.ts';

export type WorkerRow = WatchMessageOf<'workers'>['workers'][number];

export type ViewerConnection =
  | { readonly phase: 'connecting' | 'live' }
  /** The page reconnects automatically. */
  | { readonly phase: 'lost'; readonly reason: string }
  /** The page does not reconnect: its token was refused, or it was shut out later. */
  | { readonly phase: 'refused'; readonly reason: string; readonly given: Given };

/** The token or code that a refused page had shown to the coordinator. */
export type Given = 'nothing' | 'token' | 'admitted';

export type StatusName =
  /** Nothing has been received yet. */
  | 'connecting'
  | 'waiting'
  | 'training'
  | 'paused'
  | 'finished'
  /** Stopped by a person. */
  | 'stopped'
  | 'failed'
  /** Connected, but no messages arrive: the coordinator is frozen, or the connection broke without notice. */
  | 'silent'
  /** The connection broke, or was never established. */
  | 'gone'
  | 'offline'
  /** A code or token is needed, and this page has none. */
  | 'locked'
  | 'wrong-code'
  /** The coordinator did not let this page in for another reason. */
  | 'refused';

export interface Status {
  readonly name: StatusName;
  readonly title: string;
  /** Why the run has this status, and what to try, in full sentences. */
  readonly reason?: string;
  /** Whether the page shows the run as it is now. */
  readonly isCurrent: boolean;
}

/** The state that this page has received, and how long ago. */
export interface Received {
  readonly connection: ViewerConnection;
  readonly progress: ProgressMessage | undefined;
  /** Whether the server waits for data and has no run yet. */
  readonly waitsForData: boolean;
  /** Milliseconds since the last message, or since the page was opened. */
  readonly silentMs: number;
  readonly isOnline: boolean;
}

/** The coordinator sends something at least every two seconds, so a longer silence is no coincidence. */
export const quietMs = 5_000;

export function statusOf(received: Received): Status {
  const { connection, progress } = received;
  if (connection.phase === 'refused') return refusal(connection);
  if (progress && isOver(progress)) return endOf(progress);
  return interruption(received) ?? liveStatus(received);
}

/** A run that is over can no longer change, so its figures stay true without a connection. */
export function isOver({ phase }: Pick<ProgressMessage, 'phase'>): boolean {
  return phase === 'finished' || phase === 'failed';
}

/** Whether the page was not let in because it lacks the right code. */
export function needsCode({ name }: Status): boolean {
  return name === 'locked' || name === 'wrong-code';
}

function refusal({ reason, given }: Extract<ViewerConnection, { phase: 'refused' }>): Status {
  if (given === 'nothing') {
    return { name: 'locked', title: 'Code needed', isCurrent: false };
  }
  if (given === 'token') return { name: 'wrong-code', title: 'Wrong code', reason: sentence(reason), isCurrent: false };
  return { name: 'refused', title: 'Not connected', reason: `Not connected: ${reason}.`, isCurrent: false };
}

function endOf({ phase, ending }: ProgressMessage): Status {
  const about = { isCurrent: true, ...(ending && { reason: sentence(ending.message) }) };
  if (phase === 'finished') return { name: 'finished', title: 'Finished', ...about };
  if (ending?.type === 'failed') return { name: 'failed', title: 'Failed', ...about };
  return { name: 'stopped', title: 'Stopped', ...about };
}

/** Explains why the run's current state is unknown; undefined if it is known. */
function interruption({ connection, progress, silentMs, isOnline }: Received): Status | undefined {
  const isQuiet = silentMs >= quietMs;
  if (!isOnline && (isQuiet || connection.phase !== 'live')) {
    const reason = 'This device has no network. The page reconnects automatically.';
    return { name: 'offline', title: 'No network', reason, isCurrent: false };
  }
  if (connection.phase === 'lost') {
    const title = progress ? 'Connection lost' : 'Not connected';
    return { name: 'gone', title, reason: `Not connected: ${connection.reason}. Trying again …`, isCurrent: false };
  }
  if (isQuiet) {
    const reason = `The coordinator has sent nothing for ${Math.floor(silentMs / 1000)} s: it or the network may be frozen or busy.`;
    return { name: 'silent', title: 'Coordinator silent', reason, isCurrent: false };
  }
  if (connection.phase === 'connecting') {
    return { name: 'connecting', title: progress ? 'Reconnecting' : 'Connecting', isCurrent: false };
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

/** Capitalizes the text and ends it with a full stop. */
export function sentence(text: string): string {
  return `${capitalized(text)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

/** A row of the table. While the run's state is unknown, so is the health of all workers but those that have left. */
export interface ShownWorker extends Omit<WorkerRow, 'health'> {
  readonly health: WorkerRow['health'] | 'unknown';
}

export function shownWorker(row: WorkerRow, { isCurrent }: Status): ShownWorker {
  if (isCurrent || row.health === 'gone' || row.health === 'finished') return row;
  const { idle: _, ...rest } = row;
  return { ...rest, health: 'unknown' };
}

export interface TabStatus {
  /** Determines the color. */
  readonly name: 'watching' | 'ended' | 'starting' | 'resting' | 'computing';
  readonly title: string;
}

/** Short, so that a tab's status takes one line: a second one would push its card's content down. */
export const idleTexts: Readonly<Record<NonNullable<WorkerRow['idle']>, string>> = {
  joining: 'joining',
  waiting: 'waiting to start',
  paused: 'while paused',
  trial: 'measuring speed',
  outnumbered: 'enough workers',
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
