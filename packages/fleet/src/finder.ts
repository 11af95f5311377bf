/** Finds an address for joining a run: its leading coordinator, or a relay connected to it. */
import type { JoinPlace } from './coordinator.ts';
import { type RelayRecord, RunRecords } from './records.ts';
import type { FleetStore, FleetTime } from './store.ts';

/** Options of a finder: the run's secret, and a random source for spreading workers over relays. */
export interface FinderChoices {
  /** The secret of the run; by default the one in the fleet's store. */
  readonly token?: string | undefined;
  /** Random number from 0 to 1, for spreading workers over relays. Without it, only the coordinator is found. */
  readonly random?: (() => number) | undefined;
}

const readEveryMs = 500;
/** Covers more than a lease's life plus a standby's time to take over. */
const readsForChange = 20;

/** Finds the coordinator that leads a run, for a worker: `join` takes it instead of an address. */
export class CoordinatorFinder {
  readonly #choices: FinderChoices;
  readonly #records: RunRecords;
  readonly #pause: FleetTime['pause'];
  #found: number | undefined;
  /** URL of the relay found last. */
  #relay: string | undefined;

  constructor(choices: FinderChoices, store: FleetStore, run: string, { pause }: FleetTime) {
    this.#choices = choices;
    this.#records = new RunRecords(store, run);
    this.#pause = pause;
  }

  /**
   * Finds a relay of the run or its leading coordinator; undefined if the run is over.
   * @throws Error with one phrase if there has been no coordinator yet, or the store does not answer
   */
  async find(): Promise<JoinPlace | undefined> {
    const [address, end] = [await this.#records.get('address'), await this.#records.get('end')];
    if (!address) throw new Error(`no coordinator leads ${this.#records.place}`);
    const { incarnation } = address;
    if (end && end.incarnation >= incarnation) return undefined;
    const token = this.#choices.token ?? (await this.#records.get('token'))?.token;
    this.#found = incarnation;
    const relay = await this.#relayOf(incarnation);
    this.#relay = relay?.url;
    const { url, fingerprint } = relay ?? address;
    return { url, fingerprint, token };
  }

  /**
   * Draws two relays at random and returns the one with fewer workers, which spreads many simultaneous workers. Skips
   * the relay found last: a worker that asks again could not reach it, or lost it.
   */
  async #relayOf(incarnation: number): Promise<RelayRecord | undefined> {
    const { random } = this.#choices;
    if (!random) return undefined;
    const found = await this.#records.get('relays');
    if (found?.incarnation !== incarnation) return undefined;
    const relays = found.relays.filter(({ url }) => url !== this.#relay);
    const [one, other] = [0, 1].map(() => relays[Math.floor(random() * relays.length)]);
    return one && other && other.workers < one.workers ? other : one;
  }

  /** Waits for a different coordinator than the one found last, or for the run's end. @returns whether either came */
  async changed(signal: AbortSignal): Promise<boolean> {
    for (let read = 0; read < readsForChange && !signal.aborted; read++) {
      await this.#pause(readEveryMs, signal);
      if (await this.#hasChanged().catch(() => false)) return true;
    }
    return false;
  }

  async #hasChanged(): Promise<boolean> {
    const [address, end] = [await this.#records.get('address'), await this.#records.get('end')];
    if (!address) return false;
    return address.incarnation !== this.#found || (end?.incarnation ?? 0) >= address.incarnation;
  }
}
