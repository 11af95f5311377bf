/**
 * What coordinators that take turns at a run have in common, as the simulation sees it. The caller brings it: the rules of
 * training know neither lease nor store.
 */
import type { Clock } from '../clock.ts';
import type { Checkpoint } from './problem.ts';

export interface SimulatedFleet {
  /** @param process in which its requests and timers run */
  coordinator(process: Clock, name: string): FleetCoordinator;
  finder(process: Clock): FleetFinder;
  readonly store: StoreFaults;
}

/** A coordinator's part in a fleet. */
export interface FleetCoordinator {
  /** Resolves when this process is to train. @throws Error where it is not to, or the store does not answer */
  open(): Promise<void>;
  /** Resolves when another process leads. */
  readonly deposed: Promise<void>;
  /** The newest checkpoint that can be read. @throws Error where the store does not answer */
  newest(): Promise<Checkpoint | undefined>;
  /** @throws Error where the store does not take it */
  write(checkpoint: Checkpoint): Promise<void>;
  /** Says that workers find this run at the coordinator of that name. */
  announce(): Promise<void>;
  /** Gives the lead back. */
  close(): Promise<void>;
}

/** A worker's part in a fleet. */
export interface FleetFinder {
  /** The name of the coordinator that leads; undefined where the run is over. @throws Error where none is known */
  find(): Promise<string | undefined>;
  /** Waits for a while for another one. @returns whether there is one */
  changed(): Promise<boolean>;
}

/** What may happen to the store. */
export interface StoreFaults {
  /** For so long no request is answered; of one process alone where it is named. */
  away(forMs: number, name?: string): void;
  /** Takes back the newest writes, which were acknowledged, up to so many; returns how many. */
  loseNewestWrites(count: number): number;
}
