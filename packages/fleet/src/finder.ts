/** Finds where a run can be joined: the coordinator that leads it, or a relay that is connected with it. */
import type { JoinPlace } from './coordinator.ts';
import { type RelayRecord, RunRecords } from './records.ts';
import type { FleetStore } from './store.ts';

/** What a finder may be given: the secret of the run, and chance, by which workers spread over relays. */
export interface FinderChoices {
  /** The secret of the run; that which the fleet has where left out. */
  readonly token?: string | undefined;
  /** From 0 to 1: spreads workers over relays. Without it only the coordinator is found. */
  readonly random?: (() => number) | undefined;
}

export interface FinderOptions extends FinderChoices {
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
  /** The relay that was found last. */
  #relay: string | undefined;

  constructor(options: FinderOptions) {
    this.#options = options;
    this.#records = new RunRecords(options.store.values, options.run);
  }

  /**
   * Where the run can be joined: at one of its relays, or where it is led; undefined where it is over.
   * @throws Error with one phrase where no coordinator has been there yet, or the store does not answer
   */
  async find(): Promise<JoinPlace | undefined> {
    const { run, store } = this.#options;
    const [address, end] = [await this.#records.get('address'), await this.#records.get('end')];
    if (!address) throw new Error(`no coordinator leads run ${run} of the fleet at ${store.place}`);
    const { incarnation, url, fingerprint } = address.value;
    if (end && end.value.incarnation >= incarnation) return undefined;
    const token = this.#options.token ?? (await this.#records.get('token'))?.value.token;
    this.#found = incarnation;
    const relay = await this.#relayOf(incarnation);
    this.#relay = relay?.url;
    return relay ? { url: relay.url, fingerprint: relay.fingerprint, token } : { url, fingerprint, token };
  }

  /**
   * The one of two relays, drawn at random, that has fewer workers: many workers that come at once spread so. One that
   * was found last is passed over, since it is not there, or the worker need not ask.
   */
  async #relayOf(incarnation: number): Promise<RelayRecord | undefined> {
    const { random } = this.#options;
    if (!random) return undefined;
    const found = await this.#records.get('relays');
    if (found?.value.incarnation !== incarnation) return undefined;
    const relays = found.value.relays.filter(({ url }) => url !== this.#relay);
    const [one, other] = [0, 1].map(() => relays[Math.floor(random() * relays.length)]);
    return one && other && other.workers < one.workers ? other : one;
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
