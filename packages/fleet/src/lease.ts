/** The lease of a run as a pure state machine: whether this process leads, judged by its own clock alone. */

export const leaseMs = { renewEvery: 1_000, life: 5_000 };

/** What stands in the store. */
export interface StoredLease {
  readonly revision: number;
  /** Undefined where its holder gave it back. */
  readonly holder: string | undefined;
}

export type LeaseState =
  /** `sinceMs`: when the revision changed last, or the store last took no write, as seen from here. */
  | { readonly role: 'follower'; readonly seen: StoredLease | undefined; readonly sinceMs: number }
  | { readonly role: 'leader'; readonly revision: number }
  /** Another process leads; this one did before. */
  | { readonly role: 'deposed'; readonly holder: string | undefined };

export type LeaseEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'read'; readonly stored: StoredLease | undefined; readonly nowMs: number }
  | { readonly type: 'written'; readonly revision: number }
  /** Another write came before this one. */
  | { readonly type: 'conflict' }
  /** The store gave no answer; what was written may have arrived. */
  | { readonly type: 'unreachable'; readonly nowMs: number };

/** What to ask of the store next; its answer is the next event. */
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
 * A follower takes the lease where there is none, where it was given back, and where its revision has not changed for
 * `leaseMs.life`. A leader keeps it until it reads that another process holds it.
 * @param self the name by which this process holds it
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
      // A store that takes no writes takes none of the leader's: its silence says nothing.
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
  // A write of this process, whose answer was lost.
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
      // The store has lost it.
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
