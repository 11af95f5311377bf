/** The workers of a run, as the run sees them. */
import type { Report, TurnedAway } from '@lockstep/train';

export interface WorkerPool {
  /** Bytes between the coordinator and all workers so far. */
  traffic(): Traffic;
  /** What was turned away so far; left out where there are no sockets. */
  turnedAway?(): TurnedAway;
  /** Stops the workers that this process started, and resolves when they have ended. */
  stop(): Promise<void>;
  /** Lets no worker join and no viewer watch from now on. */
  close(): Promise<void>;
}

export type Traffic = Report['wire'];
