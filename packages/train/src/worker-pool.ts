/** The workers of a run, wherever they compute. */
import type { Report, TurnedAway } from './record/report.ts';

export interface WorkerPool {
  /** Bytes between the coordinator and all workers so far. */
  traffic(): Traffic;
  /** Rejected connections and tokens so far; omitted if there are no sockets. */
  turnedAway?(): TurnedAway;
  /** Stops the workers of this process, unless they stay for another run; resolves when they have ended. */
  stop(): Promise<void>;
  /** From now on, lets no worker join and no viewer watch. */
  close(): Promise<void>;
}

/** The pool of a run with nothing left to compute. */
export const idlePool: WorkerPool = {
  traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
  stop: async () => {},
  close: async () => {},
};

export type Traffic = Report['wire'];
