/** One transition's mutable copy of the state: maps are copied once, their entries are replaced and never changed. */
import { type Shard, shardKey } from '../tree.ts';
import type { Effect, RunEvent } from './events.ts';
import type {
  AddressRecord,
  Connection,
  ConnectionId,
  Contribution,
  CoordinatorState,
  Faults,
  Phase,
  RunSetup,
  ShardState,
  WorkerRecord,
} from './state.ts';

export interface StepDraft {
  step: number;
  shards: Map<string, ShardState>;
}

export interface Draft {
  readonly setup: RunSetup;
  readonly nowMs: number;
  phase: Phase;
  pauseRequested: boolean;
  startRequested: boolean;
  readonly connections: Map<ConnectionId, Connection>;
  readonly records: Map<string, WorkerRecord>;
  joined: number;
  current: StepDraft;
  next: StepDraft | undefined;
  firstOpenedAtMs: number | undefined;
  patience: number;
  readonly addresses: Map<string, AddressRecord>;
  faults: Faults;
  contributed: readonly Contribution[];
  readonly effects: Effect[];
}

/** Field by field, here and back, since the rest of an object takes long to copy, and a run does so with every message. */
export function draftOf(state: CoordinatorState, nowMs: number): Draft {
  return {
    setup: state.setup,
    nowMs,
    phase: state.phase,
    pauseRequested: state.pauseRequested,
    startRequested: state.startRequested,
    connections: new Map(state.connections),
    records: new Map(state.records),
    joined: state.joined,
    current: { step: state.current.step, shards: new Map(state.current.shards) },
    next: state.next && { step: state.next.step, shards: new Map(state.next.shards) },
    firstOpenedAtMs: state.firstOpenedAtMs,
    patience: state.patience,
    addresses: new Map(state.addresses),
    faults: state.faults,
    contributed: state.contributed,
    effects: [],
  };
}

export function stateOf(draft: Draft): CoordinatorState {
  return {
    setup: draft.setup,
    phase: draft.phase,
    pauseRequested: draft.pauseRequested,
    startRequested: draft.startRequested,
    connections: draft.connections,
    records: draft.records,
    joined: draft.joined,
    current: draft.current,
    next: draft.next,
    firstOpenedAtMs: draft.firstOpenedAtMs,
    patience: draft.patience,
    addresses: draft.addresses,
    faults: draft.faults,
    contributed: draft.contributed,
  };
}

export function updateConnection(draft: Draft, connection: ConnectionId, changes: Partial<Connection>): void {
  const before = draft.connections.get(connection);
  if (before) draft.connections.set(connection, { ...before, ...changes });
}

export function updateRecord(draft: Draft, workerId: string, changes: Partial<WorkerRecord>): void {
  const before = draft.records.get(workerId);
  if (before) draft.records.set(workerId, { ...before, ...changes });
}

export function updateShard(step: StepDraft, shard: Shard, changes: Partial<ShardState>): void {
  const key = shardKey(shard);
  const before = step.shards.get(key);
  if (before) step.shards.set(key, { ...before, ...changes });
}

export function countFault(draft: Draft, fault: keyof Faults, by = 1): void {
  draft.faults = { ...draft.faults, [fault]: draft.faults[fault] + by };
}

export function emit(draft: Draft, event: RunEvent): void {
  draft.effects.push({ type: 'event', event });
}

export function send(
  draft: Draft,
  connection: ConnectionId,
  message: Extract<Effect, { type: 'send' }>['message'],
): void {
  draft.effects.push({ type: 'send', connection, message });
}

/** Connections that may be assigned shards, in the order of their joining. */
export function available(draft: Draft): Connection[] {
  return [...draft.connections.values()].filter(
    (connection) => connection.phase === 'ready' && connection.answerByMs === undefined,
  );
}

export function isAnyReady(draft: Draft): boolean {
  return [...draft.connections.values()].some(({ phase }) => phase === 'ready');
}

/** Whether a connection owes the result of a shard. */
export function isOwner(shard: ShardState, connection: ConnectionId): boolean {
  return !shard.done && shard.owners.some((owner) => owner.connection === connection);
}

/** Samples of a step that a connection still owes. */
export function owedSamples(step: StepDraft, connection: ConnectionId): number {
  let samples = 0;
  for (const shard of step.shards.values()) if (isOwner(shard, connection)) samples += shard.samples;
  return samples;
}
