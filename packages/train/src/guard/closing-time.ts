/** How long a socket may take that was asked to close: a worker reads first what was sent before. */
import { type Clock, leastBytesPerMs } from '@lockstep/training';
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
export function cutInTime(
  webSocket: Pick<WebSocket, 'terminate' | 'once'>,
  clock: Clock,
  times: () => ClosingTimes,
): void {
  let cancel = (): void => {};
  const look = (): void => {
    const leftMs = cutAtMs(times()) - clock.nowMs();
    if (leftMs <= 0) webSocket.terminate();
    else cancel = clock.after(leftMs, look);
  };
  look();
  webSocket.once('close', () => cancel());
}
