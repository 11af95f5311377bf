/** A fleet: coordinators and workers of runs that share a store. */
import { FleetCoordinator, type FleetCoordinatorOptions } from './coordinator.ts';
import { CoordinatorFinder, type FinderChoices } from './finder.ts';
import { RunRecords } from './records.ts';
import { type FleetStore, type FleetTime, systemTime } from './store.ts';

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
  coordinator(options: FleetCoordinatorOptions): FleetCoordinator {
    return new FleetCoordinator(options, this.#store, this.#run, this.#time);
  }

  /**
   * Returns the run's transcript, as far as its leaders have stored it; undefined if there is none.
   * @throws FleetError if a part of it is missing
   */
  transcript(): Promise<Uint8Array | undefined> {
    return new RunRecords(this.#store, this.#run).readParts();
  }

  /** Returns a finder of the run's coordinator or its relays. */
  finder(choices: FinderChoices = {}): CoordinatorFinder {
    return new CoordinatorFinder(choices, this.#store, this.#run, this.#time);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
