/** Acquires and renews a run's lease in the store, by the rules of `lease.ts`. */
import { initialLease, type LeaseAction, type LeaseEvent, type LeaseState, leaseMs, transition } from './lease.ts';
import type { Repeat } from './repeat.ts';
import { type KeyValues, RevisionConflict } from './store.ts';

/** The process that holds a lease. */
export interface Holder {
  /** Unique to this process. */
  readonly id: string;
  /** Name for people. */
  readonly name: string;
}

export interface LeaseKeeperOptions {
  readonly values: KeyValues;
  readonly key: string;
  readonly self: Holder;
  readonly nowMs: () => number;
  readonly repeat: Repeat;
  /** Called after each answer of the store, and after each request without one. */
  readonly onEvent: (event: LeaseEvent, state: LeaseState, before: LeaseState) => void;
}

/** Most requests per renewal; the rest waits for the next renewal. */
const maxRequests = 3;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #stop: () => Promise<void>;
  #state = initialLease;
  #holderName: string | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#stop = options.repeat(leaseMs.renewEvery, () => this.#renew());
  }

  /** Name of the lease's holder when last read. */
  get holderName(): string | undefined {
    return this.#holderName;
  }

  /** Releases the lease if this process holds it, so that another can acquire it at once. */
  async release(): Promise<void> {
    await this.#stop();
    const { values, key } = this.#options;
    if (this.#state.role !== 'leader') return;
    // If the store does not answer, the lease expires by itself.
    await values.update(key, JSON.stringify({}), this.#state.revision).catch(() => {});
  }

  async #renew(): Promise<void> {
    let action = this.#take({ type: 'tick' });
    for (let request = 0; action && request < maxRequests; request++) {
      action = this.#take(await this.#perform(action));
    }
  }

  #take(event: LeaseEvent): LeaseAction | undefined {
    const before = this.#state;
    const { state, action } = transition(before, event, this.#options.self.id);
    this.#state = state;
    if (event.type !== 'tick') this.#options.onEvent(event, state, before);
    return action;
  }

  async #perform(action: LeaseAction): Promise<LeaseEvent> {
    const { values, key, self, nowMs } = this.#options;
    const value = JSON.stringify(self);
    try {
      switch (action.type) {
        case 'read':
          return { type: 'read', stored: await this.#read(), nowMs: nowMs() };
        case 'create':
          return { type: 'written', revision: await values.create(key, value) };
        case 'update':
          return { type: 'written', revision: await values.update(key, value, action.revision) };
        default:
          return action satisfies never;
      }
    } catch (error) {
      return error instanceof RevisionConflict ? { type: 'conflict' } : { type: 'unreachable', nowMs: nowMs() };
    }
  }

  async #read() {
    const { values, key } = this.#options;
    const found = await values.get(key);
    if (!found) return undefined;
    const { id, name } = JSON.parse(found.value) as Partial<Holder>;
    this.#holderName = name;
    return { revision: found.revision, holder: id };
  }
}
