/** A coordinator in a fleet: waits until it leads its run, keeps the lease, and announces its address. */
import { randomUUID } from 'node:crypto';
import { Checkpoints, type FleetCheckpoint } from './checkpoints.ts';
import { agreeOnConfig, type RunClaim } from './config.ts';
import { FleetError } from './fleet-error.ts';
import type { LeaseEvent, LeaseState } from './lease.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { type RelayRecord, RunRecords } from './records.ts';
import type { Repeat } from './repeat.ts';
import { type FleetStore, RevisionConflict } from './store.ts';

/** Options of a coordinator in a fleet. */
export interface CoordinatorOptions {
  /** Whether to wait if another coordinator leads the run. */
  readonly standby: boolean;
  /** Name of this machine, for people. */
  readonly name: string;
  /** Aborted to stop waiting. */
  readonly signal: AbortSignal;
  /** Receives lines for people. */
  readonly log: (line: string) => void;
}

export interface CoordinatorParts {
  readonly store: FleetStore;
  readonly run: string;
  readonly nowMs: () => number;
  readonly repeat: Repeat;
}

const maxAttempts = 3;
/** Lease renewals between two checks that the store still has this coordinator's address. */
const renewalsPerLook = 5;

/** Address of a coordinator and the secrets for joining it. */
export interface JoinPlace {
  /** Address without secrets. */
  readonly url: string;
  readonly token?: string | undefined;
  /** SHA-256 of the only certificate to trust, in hex. */
  readonly fingerprint?: string | undefined;
}

/** A coordinator in a fleet; `train` takes it as `checkpoint.store`. */
export class FleetCoordinator {
  /** Storage of the checkpoints, described for people. */
  readonly place: string;
  readonly #options: CoordinatorOptions;
  readonly #parts: CoordinatorParts;
  readonly #records: RunRecords;
  readonly #checkpoints: Checkpoints;
  readonly #deposed = new AbortController();
  #keeper: LeaseKeeper | undefined;
  #incarnation: number | undefined;
  #isUnreachable = false;
  #toAnnounce: JoinPlace | undefined;
  #announced: JoinPlace | undefined;
  #renewals = 0;
  /** Relays to announce; undefined once the store has them. */
  #relays: readonly RelayRecord[] | undefined;
  #following: Promise<void> | undefined;

  constructor(options: CoordinatorOptions, parts: CoordinatorParts) {
    const { store, run } = parts;
    this.#options = options;
    this.#parts = parts;
    this.#records = new RunRecords(store.values, run);
    this.#checkpoints = new Checkpoints(store.objects, this.#records, run);
    this.place = `run ${run} of the fleet at ${store.place}`;
  }

  /** Aborted, with one sentence as its reason, when another coordinator leads the run. */
  get deposed(): AbortSignal {
    return this.#deposed.signal;
  }

  /**
   * Resolves when this process leads the run.
   * @throws FleetError if the run has a different configuration, or has a coordinator and this one is not a standby
   */
  async open(claim: RunClaim): Promise<void> {
    const { store, run } = this.#parts;
    await this.#patiently(() => agreeOnConfig({ objects: store.objects, records: this.#records, run, claim }));
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
    return this.#patiently(() => this.#sharedToken(create));
  }

  /** @throws FleetError if the store does not answer */
  list(): Promise<FleetCheckpoint[]> {
    return this.#patiently(() => this.#checkpoints.list());
  }

  write(run: string, step: number, bytes: Uint8Array): Promise<string> {
    return this.#checkpoints.write(run, step, bytes);
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

  async #sharedToken(create: () => string): Promise<string> {
    for (;;) {
      const found = await this.#records.get('token');
      if (found?.value.token !== undefined) return found.value.token;
      const token = create();
      try {
        await this.#records.replace('token', { token }, found);
        return token;
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
  }

  /** Announces the address for joining the run; retries whenever the store answers again. */
  async announce(place: JoinPlace): Promise<void> {
    this.#toAnnounce = place;
    await this.#announce();
  }

  /** Announces the relays that workers may join; each list replaces the previous one. */
  async announceRelays(relays: readonly RelayRecord[]): Promise<void> {
    this.#relays = relays;
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

  async #lead(): Promise<void> {
    const { signal, name } = this.#options;
    const { store, nowMs, repeat } = this.#parts;
    const self = { id: randomUUID(), name };
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      const onEvent = (event: LeaseEvent, state: LeaseState, before: LeaseState): void => {
        this.#note(event, state);
        // The store has lost the lease, and so perhaps the address: announce it again.
        if (state.role === 'leader' && event.type === 'read' && !event.stored) this.#toAnnounce ??= this.#announced;
        if (state.role === 'leader' && before.role === 'follower') {
          this.#incarnation = state.revision;
          resolve();
        } else if (before.role === 'follower') {
          this.#wait(event, before, reject);
        }
      };
      const key = this.#records.key('lease');
      this.#keeper = new LeaseKeeper({ values: store.values, key, self, nowMs, repeat, onEvent });
    });
  }

  /** Handles an event while another process leads or did lead. */
  #wait(event: LeaseEvent, before: LeaseState & { role: 'follower' }, refuse: (error: Error) => void): void {
    if (event.type !== 'read' || event.stored?.holder === undefined) return;
    const { standby, log } = this.#options;
    const leader = this.#keeper?.holderName ?? 'another coordinator';
    if (standby) {
      if (!before.seen) log(`Standby: ${leader} leads ${this.place}; this coordinator takes over when it is gone.`);
      this.#following ??= this.#checkpoints
        .follow()
        .catch(() => {})
        .finally(() => {
          this.#following = undefined;
        });
    } else if (before.seen && before.seen.revision !== event.stored.revision) {
      refuse(new FleetError(`${this.place} has a coordinator, on ${leader}: with standby this one waits for its end`));
    }
  }

  #note(event: LeaseEvent, state: LeaseState): void {
    const { log } = this.#options;
    if (event.type === 'unreachable') {
      if (!this.#isUnreachable && state.role === 'leader') {
        log(`${this.place} does not answer; training goes on without lease and checkpoints until it does`);
      }
      this.#isUnreachable = true;
    } else if (state.role === 'deposed') {
      const leader = this.#keeper?.holderName ?? 'another coordinator';
      this.#deposed.abort(new FleetError(`${leader} leads ${this.place} now, since this one's lease had run out`));
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
    const isOwn = found?.value.incarnation === this.#incarnation && found?.value.url === this.#announced?.url;
    if (!isOwn) this.#toAnnounce ??= this.#announced;
    await this.#announce();
  }

  async #announce(): Promise<void> {
    if (this.#incarnation === undefined) return;
    await this.#announcePlace(this.#incarnation);
    await this.#putRelays(this.#incarnation);
  }

  async #putRelays(incarnation: number): Promise<void> {
    const relays = this.#relays;
    if (!relays) return;
    this.#relays = undefined;
    try {
      await this.#records.put('relays', { incarnation, relays });
    } catch {
      this.#relays ??= relays;
    }
  }

  async #announcePlace(incarnation: number): Promise<void> {
    const place = this.#toAnnounce;
    if (!place) return;
    this.#toAnnounce = undefined;
    const { token, ...address } = place;
    try {
      // Write the token first, so that a worker that finds the address also finds its token.
      await this.#records.put('token', { token });
      await this.#records.put('address', { incarnation, ...address });
      this.#announced = place;
    } catch {
      this.#toAnnounce ??= place;
    }
  }
}
