/** A fleet: coordinators and workers of runs that share a store. */

import { type CoordinatorOptions, FleetCoordinator } from './coordinator.ts';
import { CoordinatorFinder, type FinderChoices } from './finder.ts';
import { type FleetTime, systemTime } from './repeat.ts';
import type { FleetStore } from './store.ts';

/** Access to one run's coordinators and workers through the shared store. */
export class Fleet {
  /** Address of the store, without secrets. */
  readonly place: string;
  readonly #store: FleetStore;
  readonly #run: string;
  readonly #time: FleetTime;

  /** @param time the machine's time by default */
  constructor(store: FleetStore, run: string, time: FleetTime = systemTime) {
    this.place = store.place;
    this.#store = store;
    this.#run = run;
    this.#time = time;
  }

  /** Returns a coordinator, which leads the run once opened. */
  coordinator(options: CoordinatorOptions): FleetCoordinator {
    const { nowMs, repeat } = this.#time;
    return new FleetCoordinator(options, { store: this.#store, run: this.#run, nowMs, repeat });
  }

  /** Returns a finder of the run's coordinator or its relays. */
  finder(choices: FinderChoices = {}): CoordinatorFinder {
    return new CoordinatorFinder({ store: this.#store, run: this.#run, wait: this.#time.pause, ...choices });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
