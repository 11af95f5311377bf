/** The lease of a run: a pure state machine that judges by this process's clock alone, and its link to the store. */
import { type FleetTime, type KeyValues, RevisionConflict } from './store.ts';

export const leaseMs = { renewEvery: 1_000, life: 5_000 };

/** The lease as stored. */
interface StoredLease {
  readonly revision: number;
  /** Undefined if its holder released it. */
  readonly holder: string | undefined;
}

export type LeaseState =
  /** `sinceMs`: when this process last saw the revision change or the store fail to answer. */
  | { readonly role: 'follower'; readonly seen: StoredLease | undefined; readonly sinceMs: number }
  | { readonly role: 'leader'; readonly revision: number }
  /** Another process leads now; this one led before. */
  | { readonly role: 'deposed'; readonly holder: string | undefined };

export type LeaseEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'read'; readonly stored: StoredLease | undefined; readonly nowMs: number }
  | { readonly type: 'written'; readonly revision: number }
  /** Another process wrote first. */
  | { readonly type: 'conflict' }
  /** The store did not answer; a write may still have arrived. */
  | { readonly type: 'unreachable'; readonly nowMs: number };

type ReadEvent = LeaseEvent & { readonly type: 'read' };

/** Next request to the store; its answer is the next event. */
type LeaseAction =
  | { readonly type: 'read' }
  | { readonly type: 'create' }
  | { readonly type: 'update'; readonly revision: number };

interface LeaseStep {
  readonly state: LeaseState;
  readonly action?: LeaseAction;
}

export const initialLease: LeaseState = { role: 'follower', seen: undefined, sinceMs: Number.NEGATIVE_INFINITY };

/**
 * A follower acquires the lease if there is none, if it was released, or if its revision has not changed for
 * `leaseMs.life`. A leader keeps it until it reads that another process holds it.
 * @param self id under which this process holds the lease
 */
export function transition(state: LeaseState, event: LeaseEvent, self: string): LeaseStep {
  if (state.role === 'deposed') return { state };
  const isLeader = state.role === 'leader';
  switch (event.type) {
    case 'tick':
      return { state, action: isLeader ? { type: 'update', revision: state.revision } : { type: 'read' } };
    case 'written':
      return { state: { role: 'leader', revision: event.revision } };
    case 'conflict':
      return isLeader ? { state, action: { type: 'read' } } : { state };
    case 'unreachable':
      // While the store is unreachable the leader may not be able to renew either, so an unchanged revision proves
      // nothing.
      return { state: isLeader ? state : { ...state, sinceMs: event.nowMs } };
    case 'read':
      return isLeader ? confirmed(state, event, self) : followed(state, event, self);
    default:
      return event satisfies never;
  }
}

function confirmed(state: LeaseState, { stored }: ReadEvent, self: string): LeaseStep {
  // The store has lost the lease.
  if (!stored) return { state, action: { type: 'create' } };
  if (stored.holder !== self) return { state: { role: 'deposed', holder: stored.holder } };
  return { state: { role: 'leader', revision: stored.revision } };
}

function followed(
  { seen, sinceMs }: LeaseState & { role: 'follower' },
  { stored, nowMs }: ReadEvent,
  self: string,
): LeaseStep {
  if (!stored) return { state: { role: 'follower', seen: undefined, sinceMs: nowMs }, action: { type: 'create' } };
  // A write of this process took effect, but its answer was lost.
  if (stored.holder === self) return { state: { role: 'leader', revision: stored.revision } };
  const hasChanged = seen?.revision !== stored.revision;
  const state: LeaseState = { role: 'follower', seen: stored, sinceMs: hasChanged ? nowMs : sinceMs };
  const isFree = stored.holder === undefined || nowMs - state.sinceMs >= leaseMs.life;
  return isFree ? { state, action: { type: 'update', revision: stored.revision } } : { state };
}

interface LeaseKeeperOptions {
  readonly time: FleetTime;
  readonly values: KeyValues;
  readonly key: string;
  /** This process: a unique id, and a name for people. */
  readonly self: { readonly id: string; readonly name: string };
  /** Called after each answer of the store, and after each request without one. */
  readonly onEvent: (event: LeaseEvent, state: LeaseState, before: LeaseState) => void;
}

/** Most requests per renewal; the rest waits for the next renewal. */
const maxRequests = 3;

/** Acquires and renews a run's lease. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #stopping = new AbortController();
  readonly #renewing: Promise<void>;
  #state = initialLease;
  #holderName: string | undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#renewing = this.#keepRenewing();
  }

  /** Name of the lease's holder when last read. */
  get holderName(): string | undefined {
    return this.#holderName;
  }

  /** Releases the lease if this process holds it, so that another can acquire it at once. */
  async release(): Promise<void> {
    this.#stopping.abort();
    await this.#renewing;
    const { values, key } = this.#options;
    if (this.#state.role !== 'leader') return;
    // If the store does not answer, the lease expires by itself.
    await values.update(key, JSON.stringify({}), this.#state.revision).catch(() => {});
  }

  async #keepRenewing(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let action = this.#take({ type: 'tick' });
      for (let request = 0; action && request < maxRequests; request++) {
        action = this.#take(await this.#perform(action));
      }
      await this.#options.time.pause(leaseMs.renewEvery, signal);
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
    const { values, key, self, time } = this.#options;
    const value = JSON.stringify(self);
    try {
      if (action.type === 'read') return { type: 'read', stored: await this.#read(), nowMs: time.nowMs() };
      const isNew = action.type === 'create';
      const writing = isNew ? values.create(key, value) : values.update(key, value, action.revision);
      return { type: 'written', revision: await writing };
    } catch (error) {
      return error instanceof RevisionConflict ? { type: 'conflict' } : { type: 'unreachable', nowMs: time.nowMs() };
    }
  }

  async #read() {
    const { values, key } = this.#options;
    const found = await values.get(key);
    if (!found) return undefined;
    const { id, name } = JSON.parse(found.value) as Partial<LeaseKeeperOptions['self']>;
    this.#holderName = name;
    return { revision: found.revision, holder: id };
  }
}
