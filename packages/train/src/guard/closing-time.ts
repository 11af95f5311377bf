/** How long a socket may take that was asked to close: a worker reads first what was sent before. */
import { leastBytesPerMs } from '@lockstep/training';
import type { WebSocket } from 'ws';
import { closeTimeoutMs, mostClosingMs } from '../http/upgrade.ts';

export interface ClosingTimes {
  readonly closedAtMs: number;
  /** What its worker had still to read then; 0 where it need not. */
  readonly unreadBytes: number;
  /** When bytes last arrived from it. */
  readonly arrivedAtMs: number;
  /** How often a worker shows that it is there. */
  readonly heartbeatMs: number;
}

/** A busy machine misses a heartbeat. */
const silentHeartbeats = 2;

/** When a socket is cut that has not closed by then. */
export function cutAtMs({ closedAtMs, unreadBytes, arrivedAtMs, heartbeatMs }: ClosingTimes): number {
  const answerAtMs = closedAtMs + closeTimeoutMs;
  const readAtMs = Math.min(answerAtMs + unreadBytes / leastBytesPerMs, closedAtMs + mostClosingMs);
  const silentAtMs = arrivedAtMs + silentHeartbeats * heartbeatMs + closeTimeoutMs;
  return Math.max(answerAtMs, Math.min(readAtMs, silentAtMs));
}

/** Cuts a socket that closes, when its time is over. @param times asked each time that this may be */
export function cutInTime(webSocket: WebSocket, nowMs: () => number, times: () => ClosingTimes): void {
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const leftMs = cutAtMs(times()) - nowMs();
    if (leftMs <= 0) webSocket.terminate();
    else timer = setTimeout(look, leftMs);
  };
  look();
  webSocket.once('close', () => clearTimeout(timer));
}
