/** A coordinator in a fleet: waits until it leads its run, keeps the lease, and announces its address. */
import { randomUUID } from 'node:crypto';
import { type LeaseEvent, LeaseKeeper, type LeaseState, leaseMs } from './lease.ts';
import { type FleetCheckpoint, type FleetPart, type FleetRun, type RelayRecord, RunRecords } from './records.ts';
import { FleetError, type FleetStore, type FleetTime } from './store.ts';

/** Options of a coordinator in a fleet. */
export interface FleetCoordinatorOptions {
  /** Whether to wait if another coordinator leads the run. */
  readonly standby: boolean;
  /** Name of this machine, for people. */
  readonly name: string;
  /** Aborted to stop waiting. */
  readonly signal: AbortSignal;
  /** Receives lines for people. */
  readonly log: (line: string) => void;
}

const maxAttempts = 3;
const longestWaitMs = 10_000;
/** Lease renewals between two checks that the store still has this coordinator's address. */
const renewalsPerLook = 5;

/** Address of a coordinator or a relay, and the secrets for joining it. */
export interface JoinPlace {
  /** Address without secrets. */
  readonly url: string;
  readonly token?: string | undefined;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
}

/** A leader announces these to its workers. */
interface Announcement {
  readonly place?: JoinPlace | undefined;
  readonly relays?: readonly RelayRecord[] | undefined;
}

/** A coordinator in a fleet; `train` takes it as `checkpoint.store`. */
export class FleetCoordinator {
  /** Storage of the checkpoints, described for people. */
  readonly place: string;
  readonly #options: FleetCoordinatorOptions;
  readonly #store: FleetStore;
  readonly #time: FleetTime;
  readonly #records: RunRecords;
  readonly #deposed = new AbortController();
  #keeper: LeaseKeeper | undefined;
  #incarnation: number | undefined;
  #isUnreachable = false;
  #announced: JoinPlace | undefined;
  /** Not yet in the store. */
  #toAnnounce: Announcement = {};
  #renewals = 0;
  #following: Promise<void> | undefined;

  constructor(options: FleetCoordinatorOptions, store: FleetStore, run: string, time: FleetTime) {
    this.#options = options;
    this.#store = store;
    this.#time = time;
    this.#records = new RunRecords(store, run);
    this.place = this.#records.place;
  }

  /** Name of this machine, for people. */
  get name(): string {
    return this.#options.name;
  }

  /** Aborted, with one sentence as its reason, when another coordinator leads the run. */
  get deposed(): AbortSignal {
    return this.#deposed.signal;
  }

  /**
   * Resolves when this process leads the run.
   * @throws FleetError if the run has a different configuration, or has a coordinator and this one is not a standby
   */
  async open(run: FleetRun): Promise<void> {
    await this.#patiently(() => this.#records.agreeOn(run));
    try {
      await this.#lead();
    } catch (error) {
      await this.close();
      throw error;
    }
    await this.#following;
  }

  /**
   * Returns the run's shared secret, for coordinators that were given none: a later one admits the same workers.
   * @param create makes a secret if the run has none
   * @throws FleetError if the store does not answer
   */
  token(create: () => string): Promise<string> {
    return this.#patiently(() => this.#records.token(create));
  }

  /** @throws FleetError if the store does not answer */
  list(): Promise<FleetCheckpoint[]> {
    return this.#patiently(() => this.#records.checkpoints());
  }

  /** Waits until the store answers, but not for long: servers that are started again need some seconds. */
  async untilItAnswers(): Promise<void> {
    const untilMs = this.#time.nowMs() + longestWaitMs;
    const answers = (): Promise<boolean> =>
      this.#records.get('address').then(
        () => true,
        () => false,
      );
    while (!(await answers()) && this.#time.nowMs() < untilMs) {
      await this.#time.pause(leaseMs.renewEvery, this.deposed);
    }
  }

  write(run: string, step: number, bytes: Uint8Array): Promise<string> {
    return this.#records.writeCheckpoint(run, step, bytes);
  }

  removeAfter(_run: string, step: number): Promise<void> {
    return this.#records.removeCheckpointsAfter(step);
  }

  writePart(part: FleetPart): Promise<void> {
    if (this.#incarnation === undefined) throw new Error('expected a coordinator that leads, got one that waits');
    return this.#records.writePart(part, this.#incarnation);
  }

  readParts(last?: string): Promise<Uint8Array | undefined> {
    return this.#patiently(() => this.#records.readParts(last));
  }

  /** Announces the address for joining the run; retries whenever the store answers again. */
  async announce(place: JoinPlace): Promise<void> {
    this.#toAnnounce = { ...this.#toAnnounce, place };
    await this.#announce();
  }

  /** Announces the relays that workers may join; each list replaces the previous one. */
  async announceRelays(relays: readonly RelayRecord[]): Promise<void> {
    this.#toAnnounce = { ...this.#toAnnounce, relays };
    await this.#announce();
  }

  /** Records that the last step was taken, so that later workers need not wait. */
  async finish(): Promise<void> {
    if (this.#incarnation === undefined) return;
    await this.#records.put('end', { incarnation: this.#incarnation }).catch(() => {});
  }

  /** Releases the lease. */
  async close(): Promise<void> {
    await this.#keeper?.release();
    this.#keeper = undefined;
  }

  /** Retries requests that a run cannot start without, because a busy machine may time out once. */
  async #patiently<Value>(ask: () => Promise<Value>): Promise<Value> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (error instanceof FleetError) throw error;
        if (attempt === maxAttempts) throw new FleetError(`${this.place}: ${(error as Error).message}`, 'fleet', true);
      }
    }
  }

  async #lead(): Promise<void> {
    const { signal, name } = this.#options;
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      this.#keeper = new LeaseKeeper({
        values: this.#store.values,
        key: this.#records.key('lease'),
        self: { id: randomUUID(), name },
        time: this.#time,
        onEvent: (event, state, before) => {
          this.#note(event, state);
          // The store has lost the lease, and so perhaps the address: announce it again.
          if (state.role === 'leader' && event.type === 'read' && !event.stored) this.#announceAgain();
          if (state.role === 'leader' && before.role === 'follower') {
            this.#incarnation = state.revision;
            resolve();
          } else if (before.role === 'follower') {
            this.#wait(event, before, reject);
          }
        },
      });
    });
  }

  get #leader(): string {
    return this.#keeper?.holderName ?? 'another coordinator';
  }

  /** Handles an event while another process leads or did lead. */
  #wait(event: LeaseEvent, { seen }: LeaseState & { role: 'follower' }, refuse: (error: Error) => void): void {
    if (event.type !== 'read' || event.stored?.holder === undefined) return;
    const { standby, log } = this.#options;
    if (standby) {
      if (!seen) log(`Standby: ${this.#leader} leads ${this.place}; this coordinator takes over if it fails.`);
      this.#following ??= this.#records
        .followCheckpoints()
        .catch(() => {})
        .finally(() => {
          this.#following = undefined;
        });
    } else if (seen && seen.revision !== event.stored.revision) {
      refuse(
        new FleetError(`${this.place} has a coordinator, on ${this.#leader}: use --standby to wait until it ends`),
      );
    }
  }

  #note(event: LeaseEvent, state: LeaseState): void {
    const { log } = this.#options;
    if (event.type === 'unreachable') {
      const consequence =
        state.role === 'leader' ? 'training continues without a lease and checkpoints' : 'nobody takes over';
      if (!this.#isUnreachable) log(`${this.place} does not answer; ${consequence} until it does`);
      this.#isUnreachable = true;
    } else if (state.role === 'deposed') {
      this.#deposed.abort(
        new FleetError(`${this.#leader} leads ${this.place} now, because the lease of this coordinator expired`),
      );
    } else if (event.type === 'written') {
      if (this.#isUnreachable && state.role === 'leader') log(`${this.place} answers again; this coordinator leads it`);
      this.#isUnreachable = false;
      this.#renewals += 1;
      if (this.#renewals % renewalsPerLook === 0) void this.#lookForAddress();
      else void this.#announce();
    }
  }

  /** Announces the address again if it is missing: a server that is killed may lose acknowledged writes. */
  async #lookForAddress(): Promise<void> {
    const found = await this.#records.get('address').catch(() => undefined);
    // After a lease was lost, the next one may have the same revision, so compare the URL too.
    const isOwn = found?.incarnation === this.#incarnation && found?.url === this.#announced?.url;
    if (!isOwn) this.#announceAgain();
    await this.#announce();
  }

  #announceAgain(): void {
    this.#toAnnounce = { place: this.#announced, ...this.#toAnnounce };
  }

  async #announce(): Promise<void> {
    const incarnation = this.#incarnation;
    if (incarnation === undefined) return;
    const { place, relays } = this.#toAnnounce;
    this.#toAnnounce = {};
    try {
      if (place) {
        const { token, ...address } = place;
        // Write the token first, so that a worker that finds the address also finds its token.
        await this.#records.put('token', { token });
        await this.#records.put('address', { incarnation, ...address });
        this.#announced = place;
      }
      if (relays) await this.#records.put('relays', { incarnation, relays });
    } catch {
      this.#toAnnounce = { ...(place && { place }), ...(relays && { relays }), ...this.#toAnnounce };
    }
  }
}
