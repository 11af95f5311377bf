/** The workers of a run, as the run sees them. */
import type { Host } from '../host.ts';
import type { Report } from '../record/report.ts';
import type { TurnedAway } from '../report/turned-away.ts';

export interface WorkerPool {
  /** Bytes between the coordinator and all workers so far. */
  traffic(): Traffic;
  /** What was turned away so far; left out where there are no sockets. */
  turnedAway?(): TurnedAway;
  /** Stops the workers that this process started, and resolves when they have ended. */
  stop(): Promise<void>;
  /** Serves another run in this one's place; left out where there is no server. */
  readonly host?: Host;
  /** Lets no worker join and no viewer watch from now on. */
  close(): Promise<void>;
  /** Ends the server after that, where it is this pool's own. */
  readonly closeServer?: () => Promise<void>;
}

/** That of a run in which nothing is left to compute. */
export const idlePool: WorkerPool = {
  traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
  stop: async () => {},
  close: async () => {},
};

export type Traffic = Report['wire'];
