/** The workers of a run, wherever they compute. */
import type { Report, TurnedAway } from './record/report.ts';

export interface WorkerPool {
  /** Bytes between the coordinator and all workers so far. */
  traffic(): Traffic;
  /** Connections and tokens that were turned away so far; omitted if there are no sockets. */
  turnedAway?(): TurnedAway;
  /** Stops the workers of this process, unless they stay for another run; resolves when they have ended. */
  stop(): Promise<void>;
  /** Lets no worker join and no viewer watch from now on. */
  close(): Promise<void>;
}

/** For a run in which nothing is left to compute. */
export const idlePool: WorkerPool = {
  traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
  stop: async () => {},
  close: async () => {},
};

export type Traffic = Report['wire'];
