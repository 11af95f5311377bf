/** Finds the coordinator that leads a run, for its workers. */
import type { JoinPlace } from './coordinator.ts';
import { RunRecords } from './records.ts';
import type { FleetStore } from './store.ts';

export interface FinderOptions {
  readonly store: FleetStore;
  readonly run: string;
  /** Resolves after so long, or when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

const readEveryMs = 500;
/** Longer than a lease and what a standby needs to take over. */
const readsForChange = 20;

/** Finds the coordinator that leads a run, for a worker: what `join` takes in place of an address. */
export class CoordinatorFinder {
  readonly #options: FinderOptions;
  readonly #records: RunRecords;
  #found: number | undefined;

  constructor(options: FinderOptions) {
    this.#options = options;
    this.#records = new RunRecords(options.store.values, options.run);
  }

  /**
   * Where the run is led; undefined where it is over.
   * @throws Error with one phrase where no coordinator has been there yet, or the store does not answer
   */
  async find(): Promise<JoinPlace | undefined> {
    const { run, store } = this.#options;
    const [address, end] = [await this.#records.get('address'), await this.#records.get('end')];
    if (!address) throw new Error(`no coordinator leads run ${run} of the fleet at ${store.place}`);
    const { incarnation, url, fingerprint } = address.value;
    if (end && end.value.incarnation >= incarnation) return undefined;
    const token = await this.#records.get('token');
    this.#found = incarnation;
    return { url, fingerprint, token: token?.value.token };
  }

  /** Waits for a coordinator that follows the one that was found, or for the end of the run. @returns whether there is one */
  async changed(signal: AbortSignal): Promise<boolean> {
    for (let read = 0; read < readsForChange && !signal.aborted; read++) {
      await this.#options.wait(readEveryMs, signal);
      if (await this.#hasChanged().catch(() => false)) return true;
    }
    return false;
  }

  async #hasChanged(): Promise<boolean> {
    const [address, end] = [await this.#records.get('address'), await this.#records.get('end')];
    if (!address) return false;
    const { incarnation } = address.value;
    return incarnation !== this.#found || (end?.value.incarnation ?? 0) >= incarnation;
  }
}
