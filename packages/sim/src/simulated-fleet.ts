/**
 * The part that coordinators taking turns at a run share, as the simulation sees it. The caller provides it: the rules
 * of training know neither lease nor store.
 */
import type { Clock } from '@lockstep/protocol';
import type { Checkpoint } from './problem.ts';

export interface SimulatedFleet {
  /** @param process runs the coordinator's requests and timers */
  coordinator(process: Clock, name: string): FleetCoordinator;
  finder(process: Clock): FleetFinder;
  readonly store: StoreFaults;
}

/** A coordinator's part in a fleet. */
export interface FleetCoordinator {
  /** Resolves when this process should train. @throws Error if it should not, or if the store does not answer */
  open(): Promise<void>;
  /** Resolves when another process leads. */
  readonly deposed: Promise<void>;
  /** Returns the newest readable checkpoint. @throws Error if the store does not answer */
  newest(): Promise<Checkpoint | undefined>;
  /** Stores a checkpoint. @throws Error if the store does not accept it */
  write(checkpoint: Checkpoint): Promise<void>;
  /** Announces this coordinator to workers as the one that leads the run. */
  announce(): Promise<void>;
  /** Gives up the lead. */
  close(): Promise<void>;
}

/** A worker's part in a fleet. */
export interface FleetFinder {
  /** Returns the name of the leading coordinator; undefined if the run is over. @throws Error if none is known */
  find(): Promise<string | undefined>;
  /** Waits for a while for another coordinator. @returns whether there is one */
  changed(): Promise<boolean>;
}

/** Faults of the store. */
export interface StoreFaults {
  /** Leaves all requests unanswered for this long, or only those of the named process. */
  away(forMs: number, name?: string): void;
  /** Takes back up to this many of the newest acknowledged writes; returns how many. */
  loseNewestWrites(count: number): number;
}
