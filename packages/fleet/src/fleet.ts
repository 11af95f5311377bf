/** A fleet: coordinators and workers of runs that share one store. */

import { type CoordinatorOptions, FleetCoordinator } from './coordinator.ts';
import { CoordinatorFinder, type FinderChoices } from './finder.ts';
import { type FleetTime, systemTime } from './repeat.ts';
import type { FleetStore } from './store.ts';

/** The coordinators and workers of one run, as far as they share its store. */
export class Fleet {
  /** Where its store is, without secrets. */
  readonly place: string;
  readonly #store: FleetStore;
  readonly #run: string;
  readonly #time: FleetTime;

  /** @param time that of this machine where left out */
  constructor(store: FleetStore, run: string, time: FleetTime = systemTime) {
    this.place = store.place;
    this.#store = store;
    this.#run = run;
    this.#time = time;
  }

  /** A coordinator that leads the run once it is opened. */
  coordinator(options: CoordinatorOptions): FleetCoordinator {
    const { nowMs, repeat } = this.#time;
    return new FleetCoordinator(options, { store: this.#store, run: this.#run, nowMs, repeat });
  }

  /** What finds the run's coordinator, or a relay of it. */
  finder(choices: FinderChoices = {}): CoordinatorFinder {
    return new CoordinatorFinder({ store: this.#store, run: this.#run, wait: this.#time.pause, ...choices });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
