/** A fleet: coordinators and workers of runs that share one store. */

import { type CoordinatorOptions, FleetCoordinator } from './coordinator.ts';
import { CoordinatorFinder } from './finder.ts';
import { pause, repeat } from './repeat.ts';
import type { FleetStore } from './store.ts';

/** The coordinators and workers of one run, as far as they share its store. */
export class Fleet {
  /** Where its store is, without secrets. */
  readonly place: string;
  readonly #store: FleetStore;
  readonly #run: string;

  constructor(store: FleetStore, run: string) {
    this.place = store.place;
    this.#store = store;
    this.#run = run;
  }

  /** A coordinator that leads the run once it is opened. */
  coordinator(options: CoordinatorOptions): FleetCoordinator {
    const nowMs = (): number => performance.now();
    return new FleetCoordinator(options, { store: this.#store, run: this.#run, nowMs, repeat });
  }

  /** What finds the run's coordinator, for a worker. */
  finder(): CoordinatorFinder {
    return new CoordinatorFinder({ store: this.#store, run: this.#run, wait: pause });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
