/** A run's lease as a pure state machine: whether this process leads, judged only by its own clock. */

export const leaseMs = { renewEvery: 1_000, life: 5_000 };

/** The lease as stored. */
export interface StoredLease {
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

/** Next request to the store; its answer is the next event. */
export type LeaseAction =
  | { readonly type: 'read' }
  | { readonly type: 'create' }
  | { readonly type: 'update'; readonly revision: number };

export interface LeaseStep {
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
  switch (state.role) {
    case 'follower':
      return follow(state, event, self);
    case 'leader':
      return lead(state, event, self);
    case 'deposed':
      return { state };
    default:
      return state satisfies never;
  }
}

function follow(state: LeaseState & { role: 'follower' }, event: LeaseEvent, self: string): LeaseStep {
  switch (event.type) {
    case 'tick':
      return { state, action: { type: 'read' } };
    case 'read':
      return followed(state, event, self);
    case 'written':
      return { state: { role: 'leader', revision: event.revision } };
    case 'conflict':
      return { state };
    case 'unreachable':
      // While the store is unreachable the leader may not be able to renew either, so an unchanged revision proves
      // nothing.
      return { state: { ...state, sinceMs: event.nowMs } };
    default:
      return event satisfies never;
  }
}

function followed(
  { seen, sinceMs }: LeaseState & { role: 'follower' },
  { stored, nowMs }: LeaseEvent & { type: 'read' },
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

function lead(state: LeaseState & { role: 'leader' }, event: LeaseEvent, self: string): LeaseStep {
  switch (event.type) {
    case 'tick':
      return { state, action: { type: 'update', revision: state.revision } };
    case 'read': {
      const { stored } = event;
      // The store has lost the lease.
      if (!stored) return { state, action: { type: 'create' } };
      if (stored.holder !== self) return { state: { role: 'deposed', holder: stored.holder } };
      return { state: { role: 'leader', revision: stored.revision } };
    }
    case 'written':
      return { state: { role: 'leader', revision: event.revision } };
    case 'conflict':
      return { state, action: { type: 'read' } };
    case 'unreachable':
      return { state };
    default:
      return event satisfies never;
  }
}
