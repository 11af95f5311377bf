/** One transition's mutable copy of the state: maps are copied at their first change, their entries are replaced and never changed. */
import { type Shard, shardKey } from '../tree.ts';
import { DraftMap } from './draft-map.ts';
import { DraftShards } from './draft-shards.ts';
import type { Effect, RunEvent } from './events.ts';
import type {
  AddressRecord,
  CheckedShards,
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
  asked?: Shard | undefined;
  shards: DraftShards;
}

export interface Draft {
  readonly setup: RunSetup;
  readonly nowMs: number;
  phase: Phase;
  pauseRequested: boolean;
  startRequested: boolean;
  readonly connections: DraftMap<ConnectionId, Connection>;
  readonly records: DraftMap<string, WorkerRecord>;
  joined: number;
  current: StepDraft;
  next: StepDraft | undefined;
  firstOpenedAtMs: number | undefined;
  endedAtMs: number | undefined;
  lookedAtMs: number;
  patience: number;
  readonly addresses: DraftMap<string, AddressRecord>;
  faults: Faults;
  contributed: readonly Contribution[];
  checked: CheckedShards;
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
    connections: new DraftMap(state.connections),
    records: new DraftMap(state.records),
    joined: state.joined,
    current: draftStepOf(state.current),
    next: state.next && draftStepOf(state.next),
    firstOpenedAtMs: state.firstOpenedAtMs,
    endedAtMs: state.endedAtMs,
    lookedAtMs: state.lookedAtMs,
    patience: state.patience,
    addresses: new DraftMap(state.addresses),
    faults: state.faults,
    contributed: state.contributed,
    checked: state.checked,
    effects: [],
  };
}

export function stateOf(draft: Draft): CoordinatorState {
  return {
    setup: draft.setup,
    phase: draft.phase,
    pauseRequested: draft.pauseRequested,
    startRequested: draft.startRequested,
    connections: draft.connections.result,
    records: draft.records.result,
    joined: draft.joined,
    current: stepOf(draft.current),
    next: draft.next && stepOf(draft.next),
    firstOpenedAtMs: draft.firstOpenedAtMs,
    endedAtMs: draft.endedAtMs,
    lookedAtMs: draft.lookedAtMs,
    patience: draft.patience,
    addresses: draft.addresses.result,
    faults: draft.faults,
    contributed: draft.contributed,
    checked: draft.checked,
  };
}

function draftStepOf({ step, asked, shards }: CoordinatorState['current']): StepDraft {
  return { step, asked, shards: new DraftShards(shards) };
}

function stepOf(step: StepDraft): CoordinatorState['current'] {
  return { step: step.step, asked: step.asked, shards: step.shards.result };
}

/** A connection has many fields, and each result changes some: what changes none is not worth a copy. */
export function updateConnection(draft: Draft, connection: ConnectionId, changes: Partial<Connection>): void {
  const before = draft.connections.get(connection);
  if (before && changesSome(before, changes)) draft.connections.set(connection, { ...before, ...changes });
}

function changesSome(before: Connection, changes: Partial<Connection>): boolean {
  for (const name in changes) {
    if (before[name as keyof Connection] !== changes[name as keyof Connection]) return true;
  }
  return false;
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
  for (const { phase } of draft.connections.values()) if (phase === 'ready') return true;
  return false;
}

/** Whether a connection owes the result of a shard. */
export function isOwner(shard: ShardState, connection: ConnectionId): boolean {
  return !shard.done && shard.owners.some((owner) => owner.connection === connection);
}

/** Samples of a step that a connection still owes. */
export function owedSamples(step: StepDraft, connection: ConnectionId): number {
  return step.shards.owedSamples(connection);
}
